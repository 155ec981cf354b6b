"""Trainings in processes of their own, forked from a server that imports PyTorch once, and faults that end them."""

import contextlib
import faulthandler
import multiprocessing
import os
import resource
import signal
import socket
import time
from pathlib import Path

from scripts import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "utils.training.trainer",
        "utils.render.curves",
        "torch.utils.tensorboard",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "torch._dynamo",
    ]
)
MESSAGE = "message.txt"


def run_child(target, *arguments):
    """Call `target(*arguments)` in a process; gives its exit status, negative where a signal ended it."""
    return run_children([{}], target, *arguments)[0]


def run_children(environments, target, *arguments, timeout=300):
    """`run_child` in several processes at once, which have their own environment variables; gives their statuses.

    Those that still run after `timeout` seconds say where they are before they are ended.
    """
    children = _start(environments, target, *arguments)
    end = time.monotonic() + timeout
    for child in children:
        child.join(max(0, end - time.monotonic()))
    late = [child for child in children if child.is_alive()]
    for child in late:
        os.kill(child.pid, signal.SIGUSR1)  # see _begin
        child.join(2)
        child.kill()
        child.join()
    assert not late, f"{[child.name for child in late]} still running after {timeout} s; they said where"
    return [child.exitcode for child in children]


def start_child(target, *arguments):
    """`run_child` without waiting for its end; gives the process."""
    return _start([{}], target, *arguments)[0]


def _start(environments, target, *arguments):
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # of the server, which the first call starts
    try:
        children = [CONTEXT.Process(target=_begin, args=(own, target, *arguments)) for own in environments]
        for child in children:
            child.start()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return children


def launched(count, restarts=0, port=None):
    """The environments that torchrun gives `count` processes of one machine.

    `port`: of a store that is there, as torchrun has one, which outlasts the processes; else the first makes one.
    """
    kept = port is not None
    if not kept:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    return [
        {
            "TORCHELASTIC_RUN_ID": "test",
            "TORCHELASTIC_RESTART_COUNT": str(restarts),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": str(kept),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
        }
        for rank in range(count)
    ]


def _begin(environment, target, *arguments):
    import torch

    from utils.training import run_log

    run_log.plot_history = lambda *_: None  # half a second an epoch
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # works inside a C function too
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # loader processes are this one's own, as everywhere else
    os.environ.update(environment)
    os.setpgrp()  # signals to the group stay inside
    target(*arguments)


def train_child(config, fault=None, count=1):
    """Train, with a fault at the `count`-th occasion; errors of the user end with status 2 and `message.txt`."""
    from utils.datasets.dataset import open_dataset
    from utils.system.errors import Interrupted, UserError
    from utils.training.trainer import train

    if fault:
        FAULTS[fault](count)
    status, text = 0, ""
    try:
        train(config, open_dataset(config.data_root, "train", "boxes" if config.detector else "masks"))
    except Interrupted as error:
        status, text = 128 + error.number, str(error)
    except UserError as error:
        status, text = 2, str(error)
    Path(config.out, MESSAGE).write_text(text)  # of several processes the last one's
    raise SystemExit(status)


def _at(owner, name, count, action, after=False):
    """Replace a function by one that calls `action` before (or after) it does its work for the `count`-th time."""
    original, calls = getattr(owner, name), []

    def faulty(*args, **keywords):
        calls.append(1)
        if len(calls) == count and not after:
            action(*args)
        result = original(*args, **keywords)
        if len(calls) == count and after:
            action(*args)
        return result

    setattr(owner, name, faulty)


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def _in_step(action):
    def prepare(count):
        from utils.training.learner import Learner

        _at(Learner, "_update", count, action)

    return prepare


def _die_writing(count):
    import torch

    def half(content, file):
        file.write(b"PK\x03\x04" + bytes(10_000))
        file.flush()
        _die()

    _at(torch, "save", count, half)


def _die_renaming(count):
    from utils.predictor import checkpoint

    _at(checkpoint.os, "replace", 2 * count, _die)


def _die_before_saving(count):
    from utils.training import trainer as training_run

    _at(training_run, "save_last", count, _die)


def _die_after_logging(count):
    from utils.training.run_log import RunLog

    _at(RunLog, "record", 1, _die, after=True)


def _die_validating(count):
    from utils.training import trainer as training_run

    _at(training_run, "validate", 1, _die)


def _end_validating(count):
    from utils.training import trainer as training_run

    _at(training_run, "validate", 1, lambda *_: os.killpg(0, signal.SIGTERM))


def _fill_disk(count):
    from utils.training.trainer import TrainingRun

    def limit(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # works for root too

    _at(TrainingRun, "_after_step", count, limit)


def _die_second(count):
    if os.environ.get("RANK") == "1":
        _in_step(_die)(count)


def _poison_second(count):
    from utils.training.learner import Learner

    if os.environ.get("RANK") == "1":
        original, calls = Learner.losses, []

        def losses(self, batch, network):
            calls.append(1)
            found = original(self, batch, network)
            return {name: value * float("nan") for name, value in found.items()} if len(calls) == count else found

        Learner.losses = losses


def _kill_loader(*_):
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def _kill_loader_while_saving(count):
    import torch

    _at(torch, "save", count, _kill_loader)


FAULTS = {
    "step": _in_step(_die),
    "never going on": _in_step(lambda *_: time.sleep(600)),
    "writing": _die_writing,
    "renaming": _die_renaming,
    "before saving": _die_before_saving,
    "after logging": _die_after_logging,
    "validating": _die_validating,
    "SIGTERM": _in_step(lambda *_: os.killpg(0, signal.SIGTERM)),
    "Ctrl-C": _in_step(lambda *_: os.killpg(0, signal.SIGINT)),
    "disk full": _fill_disk,
    "NaN in the second process": _poison_second,
    "death of the second process": _die_second,
    "SIGTERM validating": _end_validating,
    "loader killed": _in_step(_kill_loader),
    "loader killed while saving": _kill_loader_while_saving,
}


def exact_child(config):
    """Train without what differs between one process and several: dropout is off."""
    from torch import nn

    nn.Dropout.forward = lambda self, x: x
    train_child(config)


def message(out):
    """What the last child of `train_child` ended with."""
    with contextlib.suppress(FileNotFoundError):
        return Path(out, MESSAGE).read_text()
    return ""
