"""Distributed: the tasks of a sweep on dask's workers; what runs where, and again after a loss, is dask's own doing."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qkvcheck.errors import QkvcheckError, SettingsError, first_line
from qkvcheck.sweep import tasks
from qkvcheck.sweep.store import BLOCK

ALLOWED_FAILURES = 20
"""Workers that may be lost under one task before it is given up."""

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What workers are started with; dask's own list also lets memory go at each free, to be faulted in again."""


def after(task: Callable[[str, int], tasks.Done], folder: str, number: int, *needs: object) -> tasks.Done:
    """Do a task once what it needs is done."""
    del needs
    return task(folder, number)


class Workers:
    """Does tasks on the workers of a dask client.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def keys(self, folder: str, numbers: Sequence[int]) -> Iterator[tasks.Done]:
        """Hash the contexts of shards."""
        yield from self._each([self._submit(tasks.do_keys, folder, number) for number in numbers])

    def shards(self, folder: str, numbers: Sequence[int], count: int) -> Iterator[tasks.Done]:
        """Make shards, merge blocks and totals."""
        made = {number: self._submit(tasks.do_shard, folder, number) for number in numbers}
        last = None
        for block in sorted({number // BLOCK for number in numbers}):
            members = [made[one] for one in range(block * BLOCK, min((block + 1) * BLOCK, count)) if one in made]
            merged = self._submit(tasks.do_block, folder, block, *members)
            last = self._submit(tasks.do_total, folder, block, merged, *([] if last is None else [last]))
        yield from self._each(list(made.values()))
        if last is not None:
            self._result(last)

    def _submit(self, task: Callable[[str, int], tasks.Done], folder: str, number: int, *needs: Any) -> Any:
        key = f"qkvcheck-{task.__name__}-{number}-{uuid.uuid4().hex[:8]}"
        return self._client.submit(after, task, folder, number, *needs, key=key, pure=False, priority=-number)

    def _each(self, futures: Sequence[Any]) -> Iterator[tasks.Done]:
        from distributed import as_completed

        for future in as_completed(futures):
            yield self._result(future)

    def _result(self, future: Any) -> tasks.Done:
        try:
            found: tasks.Done = future.result()
        except QkvcheckError:
            raise
        except Exception as error:  # of dask, and of whatever a worker met
            raise SettingsError(
                f"a worker could not do {future.key.split('-')[1]} ({type(error).__name__}: {first_line(error)}); mend "
                "that, and go on with --resume."
            ) from error
        return found


@contextmanager
def workers(*, count: int | None = None, scheduler: str | None = None) -> Iterator[Workers]:
    """Start workers on this machine, or use those of a scheduler that runs; yield what does tasks on them.

    Parameters
    ----------
    count : int, optional
        Processes to start, each of one thread.
    scheduler : str, optional
        Address of a dask scheduler instead.

    Raises
    ------
    SettingsError
        If dask.distributed is not installed, or the scheduler does not answer.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise SettingsError("--workers and --scheduler need dask: pip install 'qkvcheck[sweep]'.") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters comes back as an error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=30)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(
                f"--scheduler {scheduler!r} does not answer ({first_line(error)}); check the address."
            ) from None
        with client:
            yield Workers(client)
        return
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
                "distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, 1),
                "distributed.worker.profile.enabled": False,
            }
        ),
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield Workers(client)
