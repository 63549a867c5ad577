"""Make an archive of results from an archive of contents: one member after the other, whole or not at all."""

from __future__ import annotations

import io
import posixpath
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Event
from typing import BinaryIO, NamedTuple

from ...cluster.remote_path import RemotePath
from ...errors import CancelledError, StyleTransferError
from ...files import open_atomic
from ...tar_archive import ArchiveMember, ArchiveWriter, read_members
from ..console import explain_error
from ..job_planning import pair_inputs
from ..paths import InputFile
from ..stylize_job import JobRunner, describe_files, describe_job_settings
from ..thread_pool import is_disk_full, map_ordered
from .shard_manifest import FailedMember, ShardManifest
from .shard_planning import ShardJob


class MemberResult(NamedTuple):
    """What becomes of a member.

    Attributes:
        member: The member, without its bytes.
        outputs: Names and bytes to write, for a picture its results.
        error: Why a picture has no result; None if it has.
        copied: Whether the member is no picture and is copied as it is.
    """

    member: ArchiveMember
    outputs: list[tuple[str, bytes]]
    error: StyleTransferError | None = None
    copied: bool = False


class ShardRunner:
    """Runs the jobs of archives, one after the other; pictures of one are computed on several threads.

    Args:
        runner: Stylizes pictures.
        workers: Number of threads.
        stop: Ends the work when it is set.
        fail_fast: Raise the error of the first picture that fails, and write no archive.
    """

    def __init__(self, runner: JobRunner, *, workers: int, stop: Event, fail_fast: bool) -> None:
        from ...media import readable_extensions, unreadable_extensions, writable_extensions

        self._runner = runner
        self._workers = workers
        self._stop = stop
        self._fail_fast = fail_fast
        self._readable = frozenset(readable_extensions())
        self._unreadable = unreadable_extensions()
        self._writable = writable_extensions()

    def run(
        self,
        job: ShardJob,
        progress: Callable[[float], None] | None = None,
        *,
        styles: tuple[InputFile, ...] | None = None,
    ) -> ShardManifest:
        """Make the archive of a job, and its manifest; both appear whole, the archive last.

        Args:
            job: The job. Remote archives are copied to this machine, and results from it.
            progress: Receives the share that is done, 0..1.
            styles: Copies of the job's styles on this machine; None if they are there.

        Raises:
            StyleTransferError: The archive cannot be read to its end, or the result cannot be written.
        """
        start = time.perf_counter()
        assert job.content.path is not None
        assert job.output is not None
        counts: Counter[str] = Counter()
        failures: list[FailedMember] = []
        with (
            open_input(job.content.path) as source,
            open_output(job.output) as target,
            ArchiveWriter(target) as writer,
        ):
            size = max(1, source.seek(0, io.SEEK_END))
            source.seek(0)
            written: set[str] = set()

            def process(member: ArchiveMember) -> MemberResult:
                return self._process(job, styles or job.styles, member)

            members = read_members(source, job.content.label)
            with map_ordered(process, members, self._workers, self._stop, last=False) as results:
                for take_result in results:
                    result = take_result()
                    if result.error is not None:
                        failures.append(FailedMember(result.member.info.name, str(result.error)))
                    counts["copied"] += result.copied
                    counts["pictures"] += 0 if result.copied else len(result.outputs)
                    for name, data in result.outputs:
                        if name in written and result.member.info.isdir():
                            continue
                        free = find_free_name(name, result.member.info.name, written)
                        written.add(free)
                        writer.add(free, ArchiveMember(result.member.info, data))
                    if progress is not None:
                        progress(source.tell() / size)
            if failures and not counts["pictures"]:
                # The styles, the limits or the whole archive may be at fault: an archive of nothing would
                # count as done, and might replace a good one.
                raise StyleTransferError(
                    f"{job.content.label}: every picture failed, the first: {failures[0].error}"
                )
            facts = {
                **describe_files(job),
                "pictures": counts["pictures"],
                "copied": counts["copied"],
                "failed": len(failures),
            }
            model = self._runner.stylizer.model_name
            settings = describe_job_settings(job, self._runner.options, model, self._runner.files)
            ShardManifest(facts, settings, failures).write(job.output)
        seconds = round(time.perf_counter() - start, 3)
        return ShardManifest({**facts, "seconds": seconds}, settings, failures)

    def _process(self, job: ShardJob, styles: tuple[InputFile, ...], member: ArchiveMember) -> MemberResult:
        """Stylize a member if it is a picture."""
        info = member.info
        path = PurePosixPath(info.name)
        extension = path.suffix.lower()
        empty = ArchiveMember(info, b"")
        try:
            if path.name.startswith(".") or extension not in {*self._readable, *self._unreadable}:
                if not (info.isfile() or info.isdir()):
                    raise StyleTransferError("it is a link or a device", hint="only files can be copied")
                return MemberResult(empty, [(info.name, member.data)], copied=True)
            if not info.isfile():
                raise StyleTransferError("it is no file", hint="give archives without links")
            if extension not in self._readable:
                raise StyleTransferError(f"it cannot be read: {self._unreadable[extension]}")
            return MemberResult(empty, self._stylize(job, styles, member))
        except CancelledError:
            raise
        except Exception as error:
            if is_disk_full(error):
                raise
            self._runner.console.traceback(error)
            # Without the traceback, because its frames hold pictures.
            explained = explain_error(error, [f"{job.content.label}/{info.name}"]).with_traceback(None)
            if self._fail_fast:
                raise explained from None
            return MemberResult(empty, [], explained)

    def _stylize(
        self, job: ShardJob, styles: tuple[InputFile, ...], member: ArchiveMember
    ) -> list[tuple[str, bytes]]:
        """Return the names and the bytes of the results of a picture, one for each style or for all."""
        from ...media import write_picture

        runner = self._runner
        # As it is written: the key of a sample is ./000 for ./000.jpg, which no path keeps.
        folder, slash, file_name = member.info.name.rpartition("/")
        source = io.BytesIO(member.data)
        source.name = f"{job.content.label}/{member.info.name}"  # for messages
        content, photo = runner.read(source)
        if photo.animated:
            runner.console.note(f"{source.name} is animated; only its first frame is used")
        outputs = []
        named = InputFile(Path(file_name))
        for each in pair_inputs([named], styles, runner.options.style_weights, runner.files.masks):
            name = each.name_output(job.member, runner.options.alpha, self._writable)
            result = runner.stylize(each, content, photo)
            buffer = io.BytesIO()
            write_picture(
                result.picture,
                buffer,
                format=name.suffix,
                quality=runner.output.quality,
                metadata=result.settings,
                photo=result.photo,
            )
            outputs.append((f"{folder}{slash}{name.name}", buffer.getvalue()))
        return outputs


def find_free_name(name: str, member: str, taken: set[str]) -> str:
    """Return a name for a result that no other member has: a.png, or a_jpg.png for a.jpg beside a.webp."""
    if name not in taken:
        return name
    stem, suffix = posixpath.splitext(name)
    extension = PurePosixPath(member).suffix[1:].lower()
    names = (f"{stem}_{extension}{number or ''}{suffix}" for number in range(len(taken) + 1))
    return next(free for free in names if free not in taken)


@contextmanager
def open_input(path: Path) -> Iterator[BinaryIO]:
    """Open an archive; a remote one is copied to this machine first, because requests may fail anywhere."""
    with ExitStack() as stack:
        if isinstance(path, RemotePath):
            copy = Path(stack.enter_context(TemporaryDirectory(prefix="styletransfer-"))) / path.name
            path.download(copy)
            path = copy
        yield stack.enter_context(path.open("rb"))


@contextmanager
def open_output(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears whole when the block succeeds, on this machine or in an object store."""
    if not isinstance(path, RemotePath):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as file:
            yield file
        return
    with TemporaryDirectory(prefix="styletransfer-") as folder:
        copy = Path(folder) / path.name
        with copy.open("wb") as file:
            yield file
        path.upload(copy)
