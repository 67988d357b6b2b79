"""What a run leaves: claims.json for programs, claims.html for people."""
