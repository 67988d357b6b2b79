"""What is asked: classification tasks, their examples, and the prompts made of them."""

from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS, Task, known_task, read_own_task, title_of_task
from icl_claims.tasks.encoding import separator_tokens
from icl_claims.tasks.examples import Draw, Example, TaskData, read_task, shuffle
from icl_claims.tasks.prompts import Demonstrations, Prompts, Queries, build_prompts
from icl_claims.tasks.sources import MINIATURE, SYNTHETIC, DataSource, named_directory, real_tasks, synthetic_task
