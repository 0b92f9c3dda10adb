"""Progress of long work, on stderr, and only where someone watches."""

from __future__ import annotations

from types import TracebackType


class Steps:
    """A bar that names the step at work; silent where stderr is no terminal."""

    def __enter__(self) -> Steps:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def show(self, step: str, done: int, total: int) -> None:
        """Show step `step`, `done` of `total` (0: not known)."""
        self._bar.update(self._task, description=_NAMES.get(step, step), completed=done, total=total or None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


_NAMES = {
    "log audit": "核对日志 · auditing the log",
    "import": "读取与验签 · reading and verifying",
    "judge match": "匹配 · matching",
    "judge findings": "汇集发现 · findings",
    "judge verdicts": "结论 · verdicts",
    "write": "写出 · writing",
    "report": "报告 · report",
}
