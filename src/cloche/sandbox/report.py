"""What was truly in force around one step."""

from dataclasses import dataclass

from cloche.model.trial import Trial
from cloche.sandbox.features import Feature, Finding, Support


@dataclass(frozen=True, slots=True)
class EnforcementReport:
    """Each barrier of one sandbox: FULL, PARTIAL or NONE, and why. Travels with the artifact."""

    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...] = ()
    """What was tried inside, by the process that became the program, before it did."""

    def support(self, feature: Feature) -> Support:
        """Give what was in force; a barrier not reported was not there."""
        for finding in self.findings:
            if finding.feature is feature:
                return finding.support
        return Support.NONE

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Give (feature, support, why) as text, in the order of the barriers."""
        order = {feature: place for place, feature in enumerate(Feature)}
        known = sorted(self.findings, key=lambda finding: order[finding.feature])
        return tuple((f.feature.value, f.support.value, f.why) for f in known)
