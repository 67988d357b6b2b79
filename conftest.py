"""What claims and tests share: one hypothesis profile, few threads, and warnings as errors (in pyproject.toml)."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

settings.register_profile(
    "icl_claims",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("icl_claims")
