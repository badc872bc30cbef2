"""A pull: what a vendor has and a dataset has not, through the door and into the store; gone on with after an interruption."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, FairleadError
from fairlead.core.events import CorporateAction
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize, date_to_day, day_to_date, to_datetime
from fairlead.data.batch import QuarantinedRow
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.coverage import Coverage
from fairlead.data.dataset import MANIFEST_FILE, Dataset
from fairlead.data.ingest import ImportResult, import_bars
from fairlead.data.merging import column_ns, session_days
from fairlead.data.store import BarStore, check_dataset_name
from fairlead.data.table import BAR_SCHEMA
from fairlead.data.vendors.asking import Asker, Surroundings
from fairlead.data.vendors.history import HistoryPage, HistorySource, PageRequest, require_reach, require_size
from fairlead.data.vendors.planning import AskFor, Task, covered, known_coverage, plan_tasks, pull_range, settled_through
from fairlead.data.vendors.pulled import PullResult, SymbolTally
from fairlead.data.vendors.spool import DonePage, Spool, opened_spool

Progress = Callable[[int], None]

_FOLD_ROWS: Final = 2_000_000
_MAX_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOrder:
    """What is to be pulled.

    Parameters
    ----------
    dataset : str
        Created if need be.
    symbols : tuple of str
    bar_size : BarSize
    start : date
        The first session.
    end : date, optional
        The last one; without it, or if it has not come yet, that of the newest bar.
    calendar : ExchangeCalendar
    """

    dataset: str
    symbols: tuple[str, ...]
    bar_size: BarSize
    start: dt.date
    end: dt.date | None = None
    calendar: ExchangeCalendar

    def __post_init__(self) -> None:
        check_dataset_name(self.dataset)
        if not self.symbols:
            raise ConfigurationError.of("symbols", "name at least one", self.symbols)
        object.__setattr__(self, "symbols", tuple(sorted({check_symbol(symbol) for symbol in self.symbols})))


class Pull:
    """One pull from one vendor into one dataset. Obtain it from `opened_pull`.

    Attributes
    ----------
    total : int
        Requests that are to be made, as far as that is known beforehand.
    """

    def __init__(
        self,
        store: BarStore,
        order: PullOrder,
        source: HistorySource,
        around: Surroundings,
        spool: Spool,
        *,
        fold_rows: int = _FOLD_ROWS,
    ) -> None:
        self._store, self._order, self._source, self._around, self._spool = store, order, source, around, spool
        self._fold_rows = fold_rows
        now_ns = around.now_ns()
        per_page = require_size(source, order.bar_size)
        require_reach(source, order.bar_size, order.start, to_datetime(now_ns).date())
        self._days = pull_range(order.calendar, order.bar_size, order.start, order.end, now_ns)
        self._settled = settled_through(order.calendar, self._days[1], now_ns)
        folder = store.root / order.dataset / order.bar_size.value
        stored = Dataset.load(folder) if (folder / MANIFEST_FILE).is_file() else None
        if stored is not None and stored.manifest.calendar != order.calendar.name:
            rule = f"be {stored.manifest.calendar!r} as in dataset {order.dataset!r}"
            raise ConfigurationError.of("--calendar", rule, order.calendar.name)
        known = known_coverage(stored, source.name)
        self._pages = [page.cut() for page in spool.pages()]
        for page in self._pages:
            known = known.joined(covered(page.task, page.settled, source.name))
        traits = source.traits
        self._tasks = plan_tasks(
            order.symbols,
            order.calendar,
            order.bar_size,
            self._days,
            known,
            sessions_per_page=per_page,
            has_actions=traits.has_actions,
            needs_actions=traits.needs_actions,
        )
        self.total = len(self._tasks)
        self._tallies = {symbol: SymbolTally(symbol, now_ns) for symbol in order.symbols}
        self._added = self._revised = 0
        self._manifest = None if stored is None else stored.manifest
        for page in self._pages:
            self._count(page, page.settled)

    def run(self, progress: Progress | None = None) -> PullResult:
        """Make the requests and store what comes.

        Returns
        -------
        PullResult
            Also of symbols for which nothing came: `PullResult.unknown`.

        Raises
        ------
        FairleadError
            If the vendor cannot be asked any more, or its bars are of another size. What came before is stored.
        """
        with Asker(self._source, self._around) as asker:
            try:
                for done, task in enumerate(self._tasks, start=1):
                    self._do(asker, task)
                    if progress is not None:
                        progress(done)
                    if sum(page.table.num_rows for page in self._pages) >= self._fold_rows:
                        self._fold()
            except FairleadError:
                self._fold()
                raise
            self._fold()
            return self._result(asker.requests)

    def _do(self, asker: Asker, task: Task) -> None:
        tally = self._tallies[task.request.symbol]
        if tally.refused:
            return
        try:
            page = self._actions(asker, task) if task.kind is AskFor.ACTIONS else self._bars(asker, task)
        except DataNotFound as exc:
            tally.refused = str(exc)
            return
        self._spool.add(page)
        self._pages.append(page)
        self._count(page, self._days[1])

    def _actions(self, asker: Asker, task: Task) -> DonePage:
        first, last = date_to_day(task.request.first), date_to_day(task.request.last)
        found: Sequence[CorporateAction] = asker.ask(task.kind, task.request)
        kept = tuple(action for action in found if first <= action.ex_session <= last)
        return DonePage(task, min(self._settled, last), BAR_SCHEMA.empty_table(), kept, (), 0)

    def _bars(self, asker: Asker, task: Task) -> DonePage:
        request = task.request
        tables, quarantined, rows_in = [BAR_SCHEMA.empty_table()], list[QuarantinedRow](), 0
        for page in _answers(asker, request):
            if page.frame is None or len(page.frame) == 0:
                continue
            checked = _checked(page, request, self._source.name)
            tables.append(self._known(checked.table, request))
            # Without its place in the answer, so that it is the same row when it is read again.
            quarantined += [row._replace(origin=f"pulled from {self._source.name}", line=0) for row in checked.quarantined]
            rows_in += checked.rows_in
        table = pa.concat_tables(tables).combine_chunks()
        return DonePage(task, min(self._settled, date_to_day(request.last)), table, (), tuple(quarantined), rows_in)

    def _known(self, table: pa.Table, request: PageRequest) -> pa.Table:
        """Return the bars that were asked for and are over: vendors add the one that is still being made, or a neighbour."""
        days = session_days(table)
        wanted = (days >= date_to_day(request.first)) & (days <= date_to_day(request.last))
        return table.filter(pa.array(wanted & (column_ns(table, "known") <= self._around.now_ns())))

    def _count(self, page: DonePage, through_day: int) -> None:
        tally = self._tallies.get(page.task.request.symbol)
        if tally is not None:  # a page of an earlier pull, of other symbols
            tally.add(page, through_day)

    def _fold(self) -> None:
        """Move what is in the spool into the dataset: all of it at once, with the note that it need not be asked again."""
        if not self._pages:
            return
        table = _together([page.table for page in self._pages])
        coverage = Coverage(self._source.name)
        for page in self._pages:
            coverage = coverage.joined(covered(page.task, page.settled, self._source.name))
        if table.num_rows == 0 and self._manifest is None:
            return  # a dataset begins with a bar; the pages wait for one
        before = 0 if self._manifest is None else self._manifest.rows
        self._manifest, revised = self._store.write_pulled(
            self._order.dataset,
            table,
            bar_size=self._order.bar_size,
            calendar=self._order.calendar.name,
            actions=[action for page in self._pages for action in page.actions],
            quarantined=[row for page in self._pages for row in page.quarantined],
            coverage=coverage,
        )
        self._added += self._manifest.rows - before
        self._revised += revised
        self._spool.clear()
        self._pages = []

    def _result(self, requests: int) -> PullResult:
        spans = {} if self._manifest is None else {span.symbol: span for span in self._manifest.symbols}
        return PullResult(
            dataset=self._order.dataset,
            source=self._source.name,
            bar_size=self._order.bar_size,
            first=day_to_date(self._days[0]),
            last=day_to_date(self._days[1]),
            symbols=tuple(
                tally.result(date_to_day(spans[name].first_session if name in spans else dt.date.max))
                for name, tally in self._tallies.items()
            ),
            quarantined=tuple(row for tally in self._tallies.values() for row in tally.quarantined),
            requests=requests,
            added=self._added,
            revised=self._revised,
            manifest=self._manifest,
            unknown={name: tally.refused for name, tally in self._tallies.items() if name not in spans},
        )


@contextmanager
def opened_pull(
    store: BarStore, order: PullOrder, source: HistorySource, around: Surroundings, *, fold_rows: int = _FOLD_ROWS
) -> Iterator[Pull]:
    """Give a pull that is ready to run, the only one of its dataset.

    A pull that was interrupted, in whatever way, goes on: what it had is not asked for again.

    Parameters
    ----------
    store : BarStore
    order : PullOrder
    source : HistorySource
    around : Surroundings
    fold_rows : int
        How many bars may wait beside the dataset, and in memory, before they are moved into it.

    Raises
    ------
    ConfigurationError
        If the vendor does not serve such bars, the dataset is another vendor's or another calendar's, or another pull of it is
        under way.
    DataNotFound
        If there is no session in the dates, or the vendor does not go back so far.
    DataError, StorageError
        If what is stored cannot be read, or the disk refuses.
    """
    with opened_spool(store.root / order.dataset, source.name, order.calendar, order.bar_size) as spool:
        yield Pull(store, order, source, around, spool, fold_rows=fold_rows)


def _answers(asker: Asker, request: PageRequest) -> Iterator[HistoryPage]:
    for _ in range(_MAX_TOKENS):
        page: HistoryPage = asker.ask(AskFor.BARS, request)
        yield page
        if not page.next_token:
            return
        request = replace(request, token=page.next_token)
    raise DataError.of(f"pages of {request.symbol} from {request.first}", f"end after {_MAX_TOKENS}", request.token)


def _checked(page: HistoryPage, request: PageRequest, source: str) -> ImportResult:
    try:
        return import_bars(
            {request.symbol: page.frame},
            bar_size=request.bar_size,
            calendar=request.calendar,
            timezone=request.calendar.timezone,
            on_bad="quarantine",
            is_answer=True,
        )
    except ContractError as exc:
        raise ContractError(f"what {source} answered for {request.first} to {request.last} cannot be used: {exc}") from exc


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables).combine_chunks()
    return table.sort_by([("known", "ascending"), ("symbol", "ascending")])
