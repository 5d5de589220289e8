"""Site profiles: what a cluster wants to be told, as sbatch options. slurm/profiles/*.yaml; chosen by --profile."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictInt, ValidationError, field_validator, model_validator

from segsuite import yaml_io
from segsuite.config.base import Settings, frozen
from segsuite.config.problems import KeyPath, problems_of
from segsuite.config.sentences import must_be
from segsuite.errors import ConfigError, unknown_name
from segsuite.experiment import Trial
from segsuite.io.paths import expanded
from segsuite.launch.slurm import words
from segsuite.launch.slurm.resources import check_match, matches
from segsuite.launch.slurm.stage import Stage
from segsuite.launch.slurm.words import Memory, OptionValue, Text, Time, Word

ENVIRONMENT = "SEGSUITE_SLURM_PROFILE"
FOLDER = Path("slurm/profiles")
OF_ALL = ("resources", "throttle", "array_size")
"""What a submission has once, and no trial of its own."""
UNLIMITED_SECONDS = 10 * 365 * 86_400


class Profile(Settings):
    """How jobs are asked for at one site."""

    partition: Word | None = None
    """Partition, or several with commas. None: the site's default."""
    account: Word | None = None
    """Account that is charged."""
    qos: Word | None = None
    """Quality of service."""
    constraint: Word | None = None
    """Features of nodes, e.g. `a100|h100`."""
    gres: Word | None = None
    """Generic resources of a node, e.g. `gpu:a100:1`; sites differ in whether they take this or gpus_per_node."""
    gpus_per_node: Annotated[StrictInt | Word, Field(union_mode="left_to_right")] | None = None
    """GPUs of a node, e.g. `1` or `a100:1`."""
    cpus: int = Field(4, ge=1)
    """CPU cores of a process, at least 1; it computes with as many threads."""
    mem: Memory | None = None
    """Memory of a node, e.g. `16G`. None: the site's default."""
    time: Time = "04:00:00"
    """Longest time of an attempt, [days-]hours:minutes:seconds; a trial that needs longer saves and is queued again."""
    signal_seconds: int = Field(180, ge=30, le=3600)
    """Seconds before the end of that time at which a trial is told to save, 30 to 3600; SLURM may be 60 s early."""
    attempts: int = Field(10, ge=1)
    """Attempts of a trial, at least 1, after which it is not queued again by itself."""
    pack: int = Field(1, ge=1, le=64)
    """Trials that share a job, 1 to 64, side by side: each has `cpus` cores, and they share `mem` and the GPUs."""
    throttle: int | None = Field(None, ge=1)
    """Trials of an experiment at a time, at least 1. None: as many as the site lets."""
    array_size: int | None = Field(None, ge=1)
    """Largest array, at least 1, where a person may have fewer jobs than SLURM's MaxArraySize. None: that."""
    modules: tuple[Word, ...] = ()
    """Environment modules that are loaded first."""
    prologue: Text | tuple[tuple[Text, ...], ...] = ()
    """What prepares the environment after that: commands as lists of words, e.g. [[export, A=b], [conda, activate, x]],
    or a script of the site's own, which is sourced."""
    container: tuple[Text, ...] = ()
    """Words before the command of a trial, e.g. [apptainer, exec, --nv, image.sif]."""
    python: Word | None = None
    """Python that runs trials, e.g. /shared/venv/bin/python. None: the one that runs this command."""
    options: dict[str, OptionValue] = Field(default_factory=dict)
    """Further options of sbatch, without their dashes; `true` for one without a value."""
    sbatch: tuple[Text, ...] = ()
    """Further words of sbatch, as they are, for trials and the report, e.g. [--constraint, "gpu&ib"]."""
    srun: tuple[Text, ...] = ()
    """Further words of srun, as they are, e.g. [--cpu-bind=cores]."""

    stage: Stage | None = None
    """Data that each node unpacks on its own disk, e.g. {archive: /shared/camvid.tar, to: $TMPDIR}; trials find them
    at $SEGSUITE_STAGED."""
    resources: tuple[dict[str, Any], ...] = ()
    """What trials with certain settings want otherwise, e.g. [{match: {model.encoder: resnet101}, partition: big, mem:
    128G}]; `profile: NAME` takes another profile for them. Of several that match the later one counts."""

    @field_validator("container")
    @classmethod
    def _begins_with_a_program(cls, container: tuple[str, ...]) -> tuple[str, ...]:
        if container and container[0].startswith("-"):
            raise ValueError(f"the first word, {container[0]!a}, must be a program: srun would take it for its option")
        return container

    @field_validator("prologue")
    @classmethod
    def _commands(cls, prologue: str | tuple[tuple[str, ...], ...]) -> str | tuple[tuple[str, ...], ...]:
        if not isinstance(prologue, str) and not all(prologue):
            raise ValueError("a command has no word")
        return prologue

    @field_validator("options")
    @classmethod
    def _known_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        return words.check_options(options)

    @field_validator("sbatch")
    @classmethod
    def _words_of_sbatch(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return words.check_words("sbatch", given, words.OURS)

    @field_validator("srun")
    @classmethod
    def _words_of_srun(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return words.check_words("srun", given, words.OF_SRUN)

    @model_validator(mode="after")
    def _time_to_save(self) -> "Profile":
        # SLURM may signal a minute early; what is left must be enough to start in.
        if seconds(self.time) < self.signal_seconds + 120:
            raise ValueError(
                f"time {self.time} must be at least two minutes more than signal_seconds {self.signal_seconds}"
            )
        return self

    @model_validator(mode="after")
    def _good_resources(self) -> "Profile":
        for at, entry in enumerate(self.resources):
            wrong = [key for key in entry if key != "match" and (key in OF_ALL or key not in Profile.model_fields)]
            try:
                check_match(entry.get("match"))
                if wrong:
                    valid = [key for key in Profile.model_fields if key not in OF_ALL]
                    raise ValueError(unknown_name("key", wrong[0], valid))
                self._with((at,))
            except ValidationError as error:
                found = problems_of(error, self._values((at,)), str, Profile)
                raise ValueError("; ".join(f"resources.{at}: {one.what}" for one in found)) from None
            except ValueError as error:
                raise ValueError(f"resources.{at}: {error}") from None
        return self

    def entries_of(self, trial: Trial) -> tuple[int, ...]:
        """The places in `resources` of those that the trial matches."""
        return tuple(at for at, entry in enumerate(self.resources) if matches(trial, entry["match"]))

    def of(self, trial: Trial) -> "Profile":
        """The profile of one trial."""
        return self._with(self.entries_of(trial))

    def _with(self, entries: tuple[int, ...]) -> "Profile":
        if not entries:
            return self
        return Profile.model_validate(frozen(self._values(entries)), strict=True)

    def _values(self, entries: tuple[int, ...]) -> dict[str, Any]:
        changes = {key: value for at in entries for key, value in self.resources[at].items() if key != "match"}
        return {**self.model_dump(exclude={"resources"}), **changes}

    @property
    def gpus(self) -> int:
        """GPUs of a node that jobs ask for.

        >>> [Profile(gres=gres).gpus for gres in (None, "gpu", "gpu:2", "gpu:a100:4", "shard:1,gpu:a100:2")]
        [0, 1, 2, 4, 2]
        >>> Profile(gpus_per_node="a100:2").gpus, Profile(gpus_per_node=1).gpus
        (2, 1)
        """
        if self.gpus_per_node is not None:
            wishes = [f"gpu:{wish}" for wish in str(self.gpus_per_node).split(",")]
        else:
            wishes = [wish for wish in (self.gres or "").split(",") if wish == "gpu" or wish.startswith("gpu:")]
        numbers = [wish.rpartition(":")[2] for wish in wishes]
        return sum(int(number) if number.isdecimal() else 1 for number in numbers)

    def sbatch_options(self) -> list[str]:
        """The options of sbatch that this profile means."""
        named: dict[str, str | int | None] = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "gres": self.gres,
            "gpus-per-node": self.gpus_per_node,
            "cpus-per-task": self.cpus,
            "mem": self.mem,
            "time": self.time,
            "signal": f"USR1@{self.signal_seconds}",
        }
        given = [f"--{name}={value}" for name, value in named.items() if value is not None]
        return [*given, *words.option_words(self.options), *self.sbatch]

    def report_options(self) -> list[str]:
        """Those of a job that only reads and writes files: none of GPUs, of a trial's size or its time."""
        named = {"partition": self.partition, "account": self.account, "qos": self.qos, "constraint": self.constraint}
        given = [f"--{name}={value}" for name, value in named.items() if value is not None]
        left = {
            name: value
            for name, value in self.options.items()
            if "gpu" not in name and name not in ("exclusive", "gres-flags", "ntasks-per-core", "ntasks-per-socket")
        }
        return [*given, *words.option_words(left), *self.sbatch]

    def site_words(self, with_data: bool = False) -> list[str]:
        """What slurm/environment.sh is told: modules, prologue, words of srun and the container; `with_data`: what is
        staged, too."""
        commands = self.prologue
        if isinstance(commands, str):
            commands = (("source", str(expanded(commands))),)
        return [
            *(word for module in self.modules for word in ("--module", module)),
            *(word for command in commands for word in ("--do", str(len(command)), *command)),
            *(("--stage", *self.stage.words()) if with_data and self.stage is not None else ()),
            *(word for option in self.srun for word in ("--srun", option)),
            "--",
            *self.container,
        ]


def seconds(time: str) -> int:
    """Seconds in a time as SLURM writes it: minutes, minutes:seconds, hours:minutes:seconds, or days-hours:....

    >>> [seconds(time) for time in ("5", "5:30", "1:00:00", "1-2", "1-02:30:00")]
    [300, 330, 3600, 93600, 95400]
    """
    if time.lower() == "unlimited":
        return UNLIMITED_SECONDS
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:  # days-hours[:minutes[:seconds]]
        hours, minutes, left = (*parts, 0, 0)[:3]
    else:
        hours, minutes, left = {1: (0, *parts, 0), 2: (0, *parts), 3: tuple(parts)}[len(parts)]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + left


def read_profile(name: str | None) -> tuple[str, Profile]:
    """The profile `name`: a YAML file, or one in slurm/profiles; None: that of SEGSUITE_SLURM_PROFILE, else
    `default`, else an empty one. Returns its name, too."""
    wanted = name or os.environ.get(ENVIRONMENT)
    known = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    if wanted is None:
        if "default" not in known:
            return "none", Profile()
        wanted = "default"
    path = Path(wanted) if wanted.endswith((".yaml", ".yml")) else known.get(wanted)
    if path is None:
        advice = f"profiles are read from {FOLDER}; a path to a .yaml works, too"
        raise ConfigError(unknown_name("profile", wanted, list(known)), "--profile", advice)
    source = yaml_io.read_file(path)
    _put_in_profiles(source)
    try:
        return path.stem, Profile.model_validate(frozen(source.value), strict=True)
    except ValidationError as error:
        found = problems_of(error, source.value, source.where, Profile, _advice)
        raise ConfigError.of(_at_its_entry(one, source) for one in found) from None


def _put_in_profiles(source: yaml_io.Source) -> None:
    """Replaces `profile: NAME` in the entries of `resources` by what that profile says."""
    entries = source.value.get("resources")
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and "profile" in entry:
            name = entry.pop("profile")
            if not isinstance(name, str):
                where, advice = source.where(("resources", at, "profile")), f"profiles are read from {FOLDER}"
                raise ConfigError(f"resources.{at}.profile {must_be(['text'], name)}", where, advice)
            _, other = read_profile(name)
            entries[at] = {**other.model_dump(exclude=set(OF_ALL)), **entry}


def _at_its_entry(error: ConfigError, source: yaml_io.Source) -> ConfigError:
    """An error of an entry of `resources`, which the whole profile found, with the entry's line."""
    entry = re.match(r"resources\.(\d+)[.:]", error.what)
    where = source.where(("resources", int(entry[1]))) if entry else error.where
    return ConfigError(error.what, where, error.advice)


def _advice(path: KeyPath) -> str:
    return words.FORMS.get(str(path[0]) if path else "", "slurm/README.md lists the keys of a profile")
