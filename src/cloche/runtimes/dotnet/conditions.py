"""MSBuild conditions without MSBuild: decided, or else left as ones over the target framework alone."""

import re

from cloche.runtimes.dotnet.literals import Scope, Unknown

_LONGEST = 1000
_DEEPEST = 16
# What stands in parentheses behind "$", with texts in quotes and one more pair inside. There is one
# way to read each character, and none is taken back: else a condition could be made to take ages.
_EXPRESSION = r"\$\((?:[^()']|'[^']*+'|\((?:[^()']|'[^']*+')*+\))*+\)"
_TOKEN = re.compile(
    rf"\s*(?:(?P<text>'(?:{_EXPRESSION}|[^'$]|\$(?!\())*+')|(?P<bare>{_EXPRESSION}|[A-Za-z0-9_.\-]+)"
    r"|(?P<sign>==|!=|[()!]))"
)
_FRAMEWORK = re.compile(
    r"(?i)\$\(TargetFramework\)\Z"
    r"|\$\(TargetFramework\.(?:StartsWith|EndsWith|Contains)\('[A-Za-z0-9.\-]{1,40}'\)\)\Z"
    r"|\$\(\[MSBuild\]::IsTargetFrameworkCompatible\('\$\(TargetFramework\)', ?'[A-Za-z0-9.\-]{1,40}'\)\)\Z"
)
_LITERAL = re.compile(r"[A-Za-z0-9.\-]{0,60}\Z")

Verdict = bool | str | Unknown
"""Decided; or a condition over the framework, written anew; or not to be known."""


def decide(conditions: list[str], scope: Scope) -> str | None:
    """Give what is left of conditions that must all hold: "" for always, None for never.

    Else one over the target framework, which the SDK decides for each. Raises Unknown for what
    must be evaluated.
    """
    verdict = _all([_Reader(condition, scope).read() for condition in conditions])
    if isinstance(verdict, Unknown):
        raise verdict
    if isinstance(verdict, str):
        return verdict
    return "" if verdict else None


class _Reader:
    """Reads one condition by descent: `or` over `and` over `!` over comparisons."""

    def __init__(self, condition: str, scope: Scope) -> None:
        self._condition, self._scope = condition, scope
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0

    def read(self) -> Verdict:
        if not self._condition.strip():
            return True
        try:
            self._tokens = self._split()
            verdict = self._any()
            if self._tokens:
                raise self._unknown()
        except Unknown as unknown:
            return unknown
        return verdict

    def _split(self) -> list[tuple[str, str]]:
        if len(self._condition) > _LONGEST:
            raise self._unknown()
        tokens, at, text = [], 0, self._condition.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._unknown()
            tokens.append((found.lastgroup or "", found[found.lastgroup or ""]))
            at = found.end()
        return tokens

    def _any(self) -> Verdict:
        terms = [self._every()]
        while self._take("or"):
            terms.append(self._every())
        return _some(terms)

    def _every(self) -> Verdict:
        terms = [self._one()]
        while self._take("and"):
            terms.append(self._one())
        return _all(terms)

    def _one(self) -> Verdict:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._unknown()
        try:
            if self._take("!"):
                return _not(self._one())
            if self._take("("):
                verdict = self._any()
                if not self._take(")"):
                    raise self._unknown()
                return verdict
            return self._compared()
        finally:
            self._depth -= 1

    def _compared(self) -> Verdict:
        left = self._operand()
        equal = self._take("==")
        if not equal and not self._take("!="):
            return self._compare(left, "true", equal=True)
        return self._compare(left, self._operand(), equal=equal)

    def _compare(self, left: str, right: str, *, equal: bool) -> Verdict:
        try:
            if _FRAMEWORK.match(left.strip()):
                other = self._scope.side(right)
                if not _LITERAL.match(other):
                    raise self._unknown()
                return f"'{left.strip()}' {'==' if equal else '!='} '{other}'"
            return (self._scope.side(left).lower() == self._scope.side(right).lower()) == equal
        except Unknown as unknown:
            return unknown

    def _operand(self) -> str:
        if not self._tokens or self._tokens[0][0] == "sign" or self._tokens[0][1] in ("and", "or"):
            raise self._unknown()
        kind, text = self._tokens.pop(0)
        if kind == "bare" and self._tokens and self._tokens[0][1] == "(":
            raise self._unknown()  # Exists('...') and the like
        return text[1:-1] if kind == "text" else text

    def _take(self, word: str) -> bool:
        if self._tokens and self._tokens[0][0] != "text" and self._tokens[0][1].lower() == word:
            self._tokens.pop(0)
            return True
        return False

    def _unknown(self) -> Unknown:
        return Unknown(f"the condition {self._condition[:80]!r} must be evaluated")


def _all(terms: list[Verdict]) -> Verdict:
    return _joined(terms, "and", decisive=False)


def _some(terms: list[Verdict]) -> Verdict:
    return _joined(terms, "or", decisive=True)


def _joined(terms: list[Verdict], word: str, *, decisive: bool) -> Verdict:
    # One decisive term settles it, whatever cannot be known beside it.
    if decisive in [term for term in terms if isinstance(term, bool)]:
        return decisive
    unknown = next((term for term in terms if isinstance(term, Unknown)), None)
    if unknown is not None:
        return unknown
    left = list(dict.fromkeys(term for term in terms if isinstance(term, str)))
    if len(left) > 1:
        return f"({f' {word} '.join(left)})"
    return left[0] if left else not decisive


def _not(verdict: Verdict) -> Verdict:
    if isinstance(verdict, bool):
        return not verdict
    return f"!({verdict})" if isinstance(verdict, str) else verdict
