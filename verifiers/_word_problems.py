"""Two-step word problems with integer answers, and the worked examples that show the format."""

from typing import NamedTuple


class WordProblem(NamedTuple):
    """A problem, the result of its first step and its answer."""

    question: str
    first_step: int
    answer: int


EXAMPLES = """\
Q: Anna has 3 boxes with 4 pens in each box. She gives away 5 pens. How many pens does she have left?
A: Anna has 3 * 4 = 12 pens. After giving away 5 pens, she has 12 - 5 = 7 pens. The answer is 7.

Q: A bus has 10 people. At a stop 4 people get off and 6 people get on. How many people are on the bus?
A: After 4 people get off, there are 10 - 4 = 6 people. After 6 people get on, there are 6 + 6 = 12 people. \
The answer is 12.

Q: Ben reads 5 pages on Monday and twice as many on Tuesday. How many pages does he read in all?
A: On Tuesday Ben reads 5 * 2 = 10 pages. In all he reads 5 + 10 = 15 pages. The answer is 15.

"""

PROBLEMS = (
    WordProblem("Tom has 5 apples. He buys 7 more and then eats 2. How many apples does he have?", 12, 10),
    WordProblem(
        "Sara has 2 bags with 6 marbles in each bag. She finds 3 more marbles. How many marbles is that?",
        12,
        15,
    ),
    WordProblem("A farm has 8 hens. It buys 5 hens and sells 4 hens. How many hens does the farm have?", 13, 9),
    WordProblem("Mia bakes 20 cookies. She eats 3 and gives 8 to a friend. How many cookies are left?", 17, 9),
    WordProblem("A pack has 5 cards. Leo buys 4 packs and loses 6 cards. How many cards does he have?", 20, 14),
    WordProblem(
        "Nina walks 3 miles on Friday and twice as many on Saturday. How many miles does she walk in all?",
        6,
        9,
    ),
    WordProblem("A shelf has 15 books. Paul takes 6 and puts back 2. How many books are on the shelf?", 9, 11),
    WordProblem(
        "Omar saves 4 dollars a week for 5 weeks. He spends 8 dollars. How many dollars does he have left?",
        20,
        12,
    ),
    WordProblem("A box holds 12 eggs. Rosa uses 4 and then 3 more. How many eggs are left in the box?", 8, 5),
    WordProblem("Kim plants 3 rows with 7 flowers in each row. Then 1 flower dies. How many flowers are left?", 21, 20),
)
