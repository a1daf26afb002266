"""What a run is asked for."""

import dataclasses
import json
import re

import sorgum
from sorgum.bench import peers
from sorgum.bench.case import LEVELS, Case, Level, cases

__all__ = ["Settings", "choose", "comparisons", "current", "thread_count"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """One process of a run.

    Parameters
    ----------
    level : {"quick", "default", "full"}
    threads : int
        How many threads every implementation may use.
    only : str
        A regular expression that is searched in the names of the cases.
    """

    level: str = "default"
    threads: int = dataclasses.field(default_factory=sorgum.get_num_threads)
    only: str = ""

    @property
    def effort(self) -> Level:
        """The rounds and seconds of the level."""
        return LEVELS[self.level]

    def cases(self) -> list[Case]:
        """Return the cases of the level whose names match."""
        return [case for case in cases(self.level) if re.search(self.only, case.name)]

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Return the settings that `to_json` wrote."""
        return cls(**json.loads(text))


def thread_count(threads: int) -> str:
    """Return "1 thread", "2 threads" and so on."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def comparisons(settings: Settings) -> list[tuple[Case, str]]:
    """Return what a process measures: each case by ours and by each of its rivals, in this order."""
    return [(case, name) for case in settings.cases() for name in (peers.OURS, *peers.rivals(case, settings.threads))]


_chosen: Settings | None = None


def choose(settings: Settings) -> None:
    """Make settings those of this process."""
    global _chosen
    _chosen = settings


def current() -> Settings:
    """Return the settings of this process."""
    return _chosen or Settings()
