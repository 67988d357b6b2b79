"""What is asked, as plain data: quantities, and how they compare. Nothing here knows how an answer is found."""

from icl_claims.questions.quantity import WHOLE_DEPTH, Depth, Named, Quantity, Side
from icl_claims.questions.question import Compared, Denied, Joint, Near, Question
