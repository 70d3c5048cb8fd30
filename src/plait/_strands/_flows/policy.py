"""The union rule: what the failure of one step means for one that waits for it.

| D.on_error | F: not given | fail     | skip     | continue |
|------------|--------------|----------|----------|----------|
| not given  | the runner's | fail     | skip     | continue |
| fail       | fail         | fail     | fail     | fail     |
| skip       | skip         | skip     | skip     | skip     |
| continue   | continue     | continue | continue | continue |

The word of the dependent D comes first, then that of the step F that failed, then the runner's, and
`fail` where nobody says anything. What each word does is the kernel's: see `plait._kernel.graph`.
"""

from __future__ import annotations

from plait._kernel.plan import Word


def word_of(dependent: Word | None, failing: Word | None, runner: Word | None) -> Word:
    """Say what a failure means on one edge."""
    return dependent or failing or runner or "fail"


def is_tolerated(failing: Word | None, runner: Word | None, edges: tuple[Word, ...]) -> bool:
    """Say whether a run counts as good though this step has failed.

    Args:
        failing: The step's own word.
        runner: The runner's.
        edges: What the failure means for each step that waits for it.
    """
    if edges:
        return all(word == "continue" for word in edges)
    return (failing or runner) == "continue"
