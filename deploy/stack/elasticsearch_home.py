"""Elasticsearch's jars, laid out as the server looks for them, with our launcher beside them."""

import shutil
import zipfile
from pathlib import Path

from deploy.stack.library import HERE, POMS, copy_jars, run, version_of
from deploy.stack.programs import path_of, require

LAUNCHER, BANNER = (HERE / "java" / name for name in ("OneNode.java", "BannerPlugin.java"))
RECIPE = [*(POMS / "elasticsearch").rglob("pom.xml"), LAUNCHER, BANNER, Path(__file__)]
MODULES = ("transport-netty4", "x-pack-core")
JAVA_RELEASE = "17"
DESCRIPTOR = "plugin-descriptor.properties"
BANNER_DESCRIPTOR = """\
name=banner
description=Answers GET / as clients ask there which product they talk to
version={version}
elasticsearch.version={version}
java.version={java}
classname=ordertide.stack.BannerPlugin
"""


def build_home(home: Path) -> None:
    """Fetch the jars, lay them out as the server looks for them, and compile the launcher.

    Raises:
        StackError: Maven, Java's compiler or one of their inputs is missing or fails.
    """
    require(["java", "javac", "mvn"])
    copy_jars("elasticsearch", f"-Dinto={home}/fetched")
    (home / "fetched" / "server").rename(home / "lib")
    for module in MODULES:
        lay_out(home / "fetched" / module, home / "modules" / module, home / "lib")
    shutil.rmtree(home / "fetched")
    add_banner(home)
    compile_java(home, LAUNCHER, home / "launcher")


def lay_out(fetched: Path, module: Path, lib: Path) -> None:
    """Make a module's folder: its own jars, and its descriptor, which lies in its jar."""
    module.mkdir(parents=True)
    shared = {jar.name for jar in lib.iterdir()}
    for jar in fetched.iterdir():
        if jar.name not in shared:  # in both places it is "jar hell", and no start
            jar.rename(module / jar.name)
    inside = f"META-INF/es-plugins/{module.name}/"
    own_jar = module / f"{module.name}-{version_of('elasticsearch')}.jar"
    with zipfile.ZipFile(own_jar) as archive:
        for name in archive.namelist():
            if name.startswith(inside) and not name.endswith("/"):
                (module / name.removeprefix(inside)).write_bytes(archive.read(name))
    if module.name == "x-pack-core":
        load_without_java_module(module / DESCRIPTOR)


def load_without_java_module(descriptor: Path) -> None:
    """x-pack-core as a Java module needs another one that is not in the registry: load it plain."""
    lines = descriptor.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("modulename=")]
    descriptor.write_text("\n".join(kept))


def add_banner(home: Path) -> None:
    """Compile our module that answers GET /, and write its descriptor."""
    module = home / "modules" / "banner"
    compile_java(home, BANNER, module / "classes")
    with zipfile.ZipFile(module / "banner.jar", "w") as jar:
        for path in sorted((module / "classes").rglob("*.class")):
            jar.write(path, path.relative_to(module / "classes"))
    shutil.rmtree(module / "classes")
    version = version_of("elasticsearch")
    (module / DESCRIPTOR).write_text(BANNER_DESCRIPTOR.format(version=version, java=JAVA_RELEASE))


def compile_java(home: Path, source: Path, into: Path) -> None:
    """Compile one of our sources against the server's jars."""
    options = ["--release", JAVA_RELEASE, "-nowarn", "-cp", f"{home}/lib/*", "-d", str(into)]
    run([path_of("javac"), *options, str(source)], f"compiling {source.name}")
