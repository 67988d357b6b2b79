"""The papers, and other works, whose sentences are claims, in the order of reports."""

from icl_claims.claims.claim import Paper

rethinking = Paper("rethinking", "Rethinking In-Context Learning in Large Language Models as Gradient Descent")
revisited = Paper(
    "revisited", "Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited"
)
dai = Paper("dai", "Dai et al. 2023, Why Can GPT Learn In-Context?")
deutch = Paper("deutch", "Deutch et al. 2024, In-context Learning and Gradient Descent Revisited")
von_oswald = Paper("von_oswald", "von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent")
akyurek = Paper("akyurek", "Akyürek et al. 2023, What Learning Algorithm Is In-Context Learning?")
irie = Paper("irie", "Irie et al. 2022, The Dual Form of Neural Networks Revisited")
shen = Paper("shen", "Shen et al. 2024, Do Pretrained Transformers Learn In-Context by Gradient Descent?")
ahn = Paper("ahn", "Ahn et al. 2023, Transformers Learn to Implement Preconditioned Gradient Descent")
fu = Paper(
    "fu",
    "Fu et al. 2024, Transformers Learn to Achieve Second-Order Convergence Rates for In-Context Linear Regression",
)
ding = Paper("ding", "Ding et al. 2024, CausalLM Is Not Optimal for In-Context Learning")
rossi = Paper("rossi", "Rossi et al. 2024, Understanding In-Context Learning in Transformers (ICLR blog posts)")
sun = Paper("sun", "Sun et al. 2024, Learning to (Learn at Test Time): RNNs with Expressive Hidden States")
he = Paper("he", "He et al. 2025, In-Context Linear Regression Demystified")
yang = Paper("yang", "Yang et al. 2025, Gated Delta Networks: Improving Mamba2 with Delta Rule")
cheng = Paper(
    "cheng",
    "Cheng et al. 2024, Transformers Implement Functional Gradient Descent to Learn Non-Linear Functions In Context",
)
ramsauer = Paper("ramsauer", "Ramsauer et al. 2021, Hopfield Networks Is All You Need")
zhang_cao = Paper("zhang_cao", "Zhang and Cao 2026, Transformers Efficiently Perform In-Context Logistic Regression")
ren = Paper("ren", "Ren and Liu 2023, Towards Understanding How Transformers Learn In-Context")
mesa = Paper("mesa", "von Oswald et al. 2023, Uncovering Mesa-Optimization Algorithms in Transformers")
sander = Paper("sander", "Sander et al. 2024, How Do Transformers Perform In-Context Autoregressive Learning?")
raventos = Paper("raventos", "Raventós et al. 2023, Pretraining Task Diversity")
zhang_wu = Paper("zhang_wu", "Zhang, Wu and Bartlett 2024, In-Context Learning of a Linear Transformer Block")
xie = Paper("xie", "Xie et al. 2025, The Initialization Determines Whether In-Context Learning Is Gradient Descent")
bai = Paper("bai", "Bai et al. 2023, Transformers as Statisticians")
dherin = Paper("dherin", "Dherin et al. 2025, Learning Without Training: The Implicit Dynamics of In-Context Learning")
zhang = Paper("zhang", "Zhang et al. 2024, Trained Transformers Learn Linear Models In-Context")
mahankali = Paper(
    "mahankali",
    "Mahankali et al. 2024, One Step of Gradient Descent Is Provably the Optimal In-Context Learner with One Layer of "
    "Linear Self-Attention",
)
vladymyrov = Paper("vladymyrov", "Vladymyrov et al. 2024, Linear Transformers Are Versatile In-Context Learners")
zhang_singh = Paper(
    "zhang_singh", "Zhang, Singh et al. 2025, Training Dynamics of In-Context Learning in Linear Attention"
)
min_et_al = Paper("min", "Min et al. 2022, Rethinking the Role of Demonstrations")
wei = Paper("wei", "Wei et al. 2023, Larger Language Models Do In-Context Learning Differently")
kossen = Paper(
    "kossen", "Kossen et al. 2024, In-Context Learning Learns Label Relationships but Is Not Conventional Learning"
)
hendel = Paper("hendel", "Hendel et al. 2023, In-Context Learning Creates Task Vectors")
han = Paper("han", "Han et al. 2023, on in-context learning as kernel regression")

PAPERS = {paper.id: paper for paper in list(globals().values()) if isinstance(paper, Paper)}
