"""What becomes of a code that concerns the way to the broker, and not one order."""

from __future__ import annotations

from fairlead.data.vendors.ibkr.codes import CodeAction, CodeRule, Severity
from fairlead.execution.brokers.words import LinkKind

_KINDS: dict[CodeAction, LinkKind] = {
    CodeAction.BACK_OFF: LinkKind.PACING,
    CodeAction.DATA_BACK_OFF: LinkKind.PACING,
    CodeAction.PAUSE: LinkKind.DOWN,
    CodeAction.RECONNECT: LinkKind.DOWN,
    CodeAction.RESUBSCRIBE: LinkKind.RESTORED_LOST,
    CodeAction.RECONCILE: LinkKind.RESTORED,
    CodeAction.DEGRADE: LinkKind.DEGRADED,
    CodeAction.NO_DATA: LinkKind.DEGRADED,
}
_CURES: dict[int, int] = {2104: 2103, 2108: 2103, 2106: 2105, 2107: 2105, 1101: 2110, 1102: 2110}


class Way:
    """Remembers what does not work between here and the broker."""

    def __init__(self) -> None:
        self.is_cut = False
        """Whether the broker's own servers are not reached."""
        self._broken: set[tuple[int, str]] = set()

    def take(self, rule: CodeRule, text: str) -> LinkKind:
        """Take in a code and return what it is told as."""
        if rule.action is CodeAction.PAUSE:
            self.is_cut = True
        elif rule.action in {CodeAction.RESUBSCRIBE, CodeAction.RECONCILE}:
            self.is_cut = False
            self._broken = {fault for fault in self._broken if fault[0] != _CURES[rule.code]}
        elif rule.action is CodeAction.DEGRADE:
            self._broken.add((rule.code, _farm(text)))
        elif rule.action is CodeAction.INFO:
            return self._heal(rule, text)
        return _KINDS.get(rule.action, LinkKind.REMARK)

    def _heal(self, rule: CodeRule, text: str) -> LinkKind:
        fault = _CURES.get(rule.code, 0), _farm(text)
        if fault not in self._broken:
            return LinkKind.REMARK
        self._broken.discard(fault)
        # Only when all of it works again: what was missed meanwhile is asked for then.
        return LinkKind.REMARK if self._broken else LinkKind.RESTORED


def told_as(rule: CodeRule, text: str) -> str:
    """Return the text of a notice: what the code means, its number, and the broker's own words."""
    prefix = "ERROR " if rule.severity is Severity.ERROR else ""
    return f"{prefix}{rule.meaning} ({rule.code}): {text}"


def _farm(text: str) -> str:
    return text.rpartition(":")[2].strip() if ":" in text else ""
