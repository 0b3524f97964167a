"""A poorer machine than this one, for tests: what is pretended can only take away."""

from dataclasses import dataclass, replace

from cloche.errors import InvalidValue
from cloche.platforms.linux.refusal import Refusal
from cloche.sandbox.features import Feature, Features, Finding, Support

PRETEND = "CLOCHE_TEST_FEATURES"
"""The variable: barriers and their support, as in `user-namespace=none,landlock=partial`."""
_ORDER = (Support.NONE, Support.PARTIAL, Support.FULL)
_OF_GROUPS = (Feature.MEMORY_LIMIT, Feature.CPU_LIMIT, Feature.PROCESS_LIMIT)
_WHY = f"pretended: {PRETEND}"


@dataclass(frozen=True, slots=True)
class Pretence:
    """What is taken away."""

    lowered: dict[Feature, Support]

    @classmethod
    def read(cls, text: str) -> "Pretence":
        """Read the variable. Raises InvalidValue: a word not understood would test nothing."""
        known = {f.value: f for f in Feature}
        supports = {s.value: s for s in Support}
        lowered = {}
        for word in filter(None, text.split(",")):
            name, _, support = word.partition("=")
            if name not in known or support not in supports:
                raise InvalidValue(PRETEND, word, "BARRIER=none|partial|full")
            lowered[known[name]] = supports[support]
        return cls(lowered)

    @property
    def lacks_groups(self) -> bool:
        """Tell whether there are no control groups; one limit of theirs pretended away is enough."""
        return any(self.lowered.get(f, Support.FULL) is not Support.FULL for f in _OF_GROUPS)

    def applied(self, features: Features) -> Features:
        """Give `features` with the lower of what was found and what is pretended."""
        findings = (
            f if f.feature is Feature.OVERLAY else self._lower(f) for f in features.findings
        )
        return replace(features, findings=tuple(findings))

    @property
    def of_overlay(self) -> Refusal | None:
        """Give the refusal of overlays when one is pretended: what stands in their place is then probed."""
        if self.lowered.get(Feature.OVERLAY, Support.FULL) is Support.FULL:
            return None
        return Refusal(why=_WHY, mend=f"unset {PRETEND}")

    def _lower(self, finding: Finding) -> Finding:
        support = self.lowered.get(finding.feature, finding.support)
        if _ORDER.index(support) >= _ORDER.index(finding.support):
            return finding
        return replace(finding, support=support, why=_WHY, mend=f"unset {PRETEND}")
