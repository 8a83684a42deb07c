"""What a local Spark needs beside pyspark: a Java that is new enough, and Delta's two jars."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from drq_spark.cache_folder import cache_folder
from drq_spark.errors import SetupError

DELTA_VERSION = "4.4.0"
"""One Delta release has a jar for each of SPARK_MINORS, so the installed pyspark decides between jars, not versions."""

SPARK_MINORS = ("4.0", "4.1", "4.2")

OLDEST_JAVA = 17

_INSTALL_JAVA = (
    "install Java 17 or 21 (Debian and Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17)"
    " or point JAVA_HOME to one"
)


def spark_minor() -> str:
    """Major and minor version of the installed pyspark, such as "4.2".

    Raises:
        SetupError: pyspark is not installed, or it is a version that Delta has no jar for.
    """
    require_pyspark()
    import pyspark

    minor = ".".join(pyspark.__version__.split(".")[:2])
    if minor not in SPARK_MINORS:
        supported = ", ".join(SPARK_MINORS)
        raise SetupError(f"pyspark {pyspark.__version__} has no matching Delta jar; install one of {supported}")
    return minor


def find_java() -> Path:
    """The `java` that Spark will start: the one of JAVA_HOME, else the first on PATH.

    Raises:
        SetupError: there is none, it does not run, or it is older than Java 17.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if found is None:
        raise SetupError(f"no java on PATH: {_INSTALL_JAVA}")
    try:
        reply = subprocess.run(
            [found, "-version"], capture_output=True, text=True, errors="replace", timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        where = f"JAVA_HOME is {home}, but {found}" if home else found
        raise SetupError(f"{where} does not run: {_INSTALL_JAVA}") from None
    major = java_major(reply.stderr + reply.stdout)
    if major is not None and major < OLDEST_JAVA:
        raise SetupError(f"{found} is Java {major}, Spark needs {OLDEST_JAVA} or newer: {_INSTALL_JAVA}")
    return Path(found)


def java_major(version_text: str) -> int | None:
    """Major version in the output of `java -version`; None where it holds none.

    >>> java_major('openjdk version "17.0.15" 2025-04-15'), java_major('java version "1.8.0_402"')
    (17, 8)
    """
    found = re.search(r'version "(?:1\.)?(\d+)', version_text)
    return int(found.group(1)) if found else None


def delta_jar_names(minor: str) -> list[str]:
    """File names of Delta's two jars for a minor version of Spark, such as "4.2"."""
    return [f"delta-spark_{minor}_2.13-{DELTA_VERSION}.jar", f"delta-storage-{DELTA_VERSION}.jar"]


def delta_jars(java: Path, progress: Callable[[str], None]) -> list[Path]:
    """Delta's jars for the installed pyspark, downloaded once per user and machine.

    DRQ_DELTA_JARS names a folder that already holds them (machines without a network), DRQ_IVY_SETTINGS an Ivy
    settings file (a mirror inside a company), DRQ_CACHE another cache folder. Of everything that Delta's Maven entry
    asks for, only these two jars are needed beside what pyspark brings.

    Raises:
        SetupError: they can neither be found nor downloaded.
    """
    names = delta_jar_names(spark_minor())
    given = os.environ.get("DRQ_DELTA_JARS")
    if given:
        missing = [name for name in names if not Path(given, name).is_file()]
        if missing:
            raise SetupError(f"DRQ_DELTA_JARS is {given}, which lacks {' and '.join(missing)}")
        return [Path(given, name) for name in names]
    folder = cache_folder() / "jars"
    jars = [folder / name for name in names]
    if not all(jar.is_file() for jar in jars):
        progress(f"Downloading Delta's jars (10 MB, once) to {folder}")
        _download(java, folder)
    return jars


def require_pyspark() -> None:
    """Refuse to go on without pyspark.

    Raises:
        SetupError: it cannot be imported.
    """
    try:
        import pyspark.sql  # noqa: F401
    except ImportError as error:
        raise SetupError(f"pyspark cannot be imported ({error}): pip install 'drq-spark[spark,delta]'") from None


def _download(java: Path, folder: Path) -> None:
    """Let Ivy, which comes with pyspark, fetch the jars; they appear under their names only when complete."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder, prefix=".download-"))
    except OSError as error:
        why = f"the cache folder {folder} cannot be written ({error.strerror})"
        raise SetupError(f"{why}; set DRQ_CACHE to one that can") from None
    try:
        reply = subprocess.run(_ivy_command(java, work), capture_output=True, text=True, errors="replace", check=False)
        jars = list((work / "jars").glob("*.jar"))
        if reply.returncode or len(jars) < 2:
            raise SetupError(
                f"Delta's jars could not be downloaded from the Maven repository ({_ivy_fault(reply.stdout)}): connect"
                " once, or set DRQ_IVY_SETTINGS to Ivy settings of a mirror or DRQ_DELTA_JARS to a folder with the jars"
            )
        for jar in jars:
            os.replace(jar, folder / jar.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _ivy_command(java: Path, work: Path) -> list[str]:
    wanted = "".join(
        f'<dependency org="io.delta" name="{name}" rev="{DELTA_VERSION}" conf="default->master"/>'
        for name in (f"delta-spark_{spark_minor()}_2.13", "delta-storage")
    )
    (work / "ivy.xml").write_text(
        '<ivy-module version="2.0"><info organisation="drq_spark" module="jars"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{wanted}</dependencies></ivy-module>',
        encoding="utf-8",
    )
    settings = os.environ.get("DRQ_IVY_SETTINGS")
    if settings and not Path(settings).is_file():
        raise SetupError(f"DRQ_IVY_SETTINGS is {settings}, which is not a file")
    return [
        *(str(java), *_java_proxy(os.environ), f"-Divy.default.ivy.user.dir={work / 'ivy'}"),
        *("-cp", str(spark_jars() / "*")),
        *("org.apache.ivy.Main", "-warn", "-ivy", str(work / "ivy.xml"), "-cache", str(work / "cache")),
        *("-confs", "default", "-types", "jar", "-retrieve", str(work / "jars" / "[artifact]-[revision].[ext]")),
        *(("-settings", settings) if settings else ()),
    ]


def _ivy_fault(output: str) -> str:
    """The line of Ivy's report that says most."""
    lines = [line.strip(" \t:") for line in output.splitlines()]
    causes = r"(?i)server access error|unknownhost|refused|timed? ?out|can't be read|does(n't| not) exist"
    for pattern in (causes, r"(?i)not found|unresolved|exception"):
        for line in lines:
            if re.search(pattern, line):
                return re.sub(r"\s*\S*https?:\S*", "", line).removeprefix("HttpClientHandler: ")[:150]
    return "no reason given"


def _java_proxy(environment: Mapping[str, str]) -> list[str]:
    """Java's own options for the proxy variables that pip and curl read, and Java does not."""
    options = []
    for scheme in ("http", "https"):
        address = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme.upper()}_PROXY")
        parts = urlsplit(address or "")
        if parts.hostname:
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    return options


def spark_jars() -> Path:
    """Folder of the jars that pyspark brings, or that SPARK_HOME names."""
    import pyspark

    here = Path(pyspark.__file__).parent / "jars"
    return here if here.is_dir() else Path(os.environ.get("SPARK_HOME", ""), "jars")
