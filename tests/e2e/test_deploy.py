"""What is delivered around the binary, as far as it can be checked on one machine without Docker, Azure or a running systemd (docs/deploy.md says what could not)."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BINARY, DEADLINE, ROOT

DEPLOY = ROOT / "deploy"
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")


def check(config, **env):
    return subprocess.run([BINARY, "check", "-c", str(config)], capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, **env})


@pytest.mark.skipif(not SYSTEMD_ANALYZE, reason="needs systemd-analyze (Debian package systemd)")
def test_the_systemd_unit_is_shut_in():
    """Issue 5, item 6: exposure below 2.0."""
    unit = DEPLOY / "systemd" / "weir.service"
    rated = subprocess.run([SYSTEMD_ANALYZE, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, text=True, timeout=DEADLINE)
    assert rated.returncode == 0, rated.stdout[-3000:] + rated.stderr
    assert float(re.search(r"exposure level for weir\.service: ([\d.]+)", rated.stdout).group(1)) < 2.0
    found = subprocess.run([SYSTEMD_ANALYZE, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=DEADLINE)
    # The binary is not installed here; all else must be right.
    complaints = [line for line in found.stderr.splitlines() if "weir.service" in line and "/usr/bin/weir is not executable" not in line]
    assert complaints == [], complaints


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    made = subprocess.run([str(DEPLOY / "debian-package"), BINARY, str(tmp_path_factory.mktemp("deb"))], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    return pathlib.Path(made.stdout.strip())


def test_the_debian_package_installs_into_a_root_and_runs(package, tmp_path):
    """Unpacked by dpkg into a root of its own; the binary that it brings runs with its configuration."""
    fields = dict(re.findall(r"^([A-Z][A-Za-z-]*): (.*)$", subprocess.run(["dpkg-deb", "-f", str(package)], capture_output=True, text=True, timeout=DEADLINE).stdout, re.M))
    assert fields["Package"] == "weir" and "libc6" in fields["Depends"] and "tzdata" in fields["Depends"]
    target = tmp_path / "root"
    if os.geteuid() == 0:
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"):
            (target / folder).mkdir(parents=True)
        (target / "var/lib/dpkg/status").touch()
        unpacked = subprocess.run(["dpkg", f"--root={target}", "--force-depends", "--no-triggers", "--unpack", str(package)], capture_output=True, text=True, timeout=DEADLINE)
        assert unpacked.returncode == 0, unpacked.stderr
        # What was configured would be asked about, not overwritten.
        status = (target / "var/lib/dpkg/status").read_text()
        assert "/etc/weir/weir.toml" in status
        config = target / "etc/weir/weir.toml.dpkg-new"
    else:
        subprocess.run(["dpkg-deb", "-x", str(package), str(target)], check=True, timeout=DEADLINE)
        config = target / "etc/weir/weir.toml"
    version = subprocess.run([str(target / "usr/bin/weir"), "--version"], capture_output=True, text=True, timeout=DEADLINE)
    assert version.returncode == 0 and fields["Version"] in version.stdout
    plain = tmp_path / "weir.toml"
    shutil.copy(config, plain)
    assert check(plain).returncode == 0
    assert (target / "lib/systemd/system/weir.service").exists() and (target / "usr/share/doc/weir/copyright").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg wants root")
def test_the_debian_package_is_installed_upgraded_and_removed(package, tmp_path):
    """By dpkg with its scripts, into a root of its own: what somebody has configured survives an upgrade and a removal, and a purge leaves nothing of the package."""
    target = tmp_path / "root"
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"):
        (target / folder).mkdir(parents=True)
    (target / "var/lib/dpkg/status").touch()

    def dpkg(*args):
        done = subprocess.run(["dpkg", f"--root={target}", "--force-depends", "--force-script-chrootless", "--force-confold", "--no-triggers", *args], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr

    config, binary = target / "etc/weir/weir.toml", target / "usr/bin/weir"
    dpkg("--install", str(package))
    assert "Status: install ok installed" in (target / "var/lib/dpkg/status").read_text()
    ran = subprocess.run([str(binary), "check", "-c", str(config)], capture_output=True, text=True, timeout=DEADLINE)
    assert ran.returncode == 0, ran.stderr
    config.write_text(config.read_text() + "# mine\n")
    dpkg("--install", str(package))
    assert config.read_text().endswith("# mine\n")
    recorded = target / "var/lib/private/weir/log.db"
    recorded.parent.mkdir(parents=True)
    recorded.touch()
    dpkg("--remove", "weir")
    assert not binary.exists() and not (target / "lib/systemd/system/weir.service").exists() and config.exists() and recorded.exists()
    dpkg("--purge", "weir")
    left = [str(path.relative_to(target)) for path in target.rglob("*") if path.is_file() and not path.is_relative_to(target / "var/lib/dpkg")]
    assert left == ["var/lib/private/weir/log.db"], left


def test_the_image_has_what_the_package_depends_on(package):
    """S2-19: exposes 8765, runs as nobody in particular; the libraries of the last stage are those that the binary is linked with."""
    text = (DEPLOY / "Containerfile").read_text()
    last = text[text.rindex("\nFROM "):]
    assert re.search(r"^EXPOSE 8765$", last, re.M) and re.search(r"^USER 8765$", last, re.M) and "HEALTHCHECK" in last and "STOPSIGNAL SIGTERM" in last
    installed = set(re.search(r"apt-get install[^&]*?((?:[a-z0-9.+-]+[\s\\]+)+)&&", last).group(1).replace("\\", " ").split())
    depends = subprocess.run(["dpkg-deb", "-f", str(package), "Depends"], capture_output=True, text=True, timeout=DEADLINE).stdout
    essential = {"libc6", "libgcc-s1", "libstdc++6"}
    for name in re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends):
        # libspdlog1.10-fmt9 is what libspdlog1.10 provides.
        assert name in essential or name in installed or name.rsplit("-fmt", 1)[0] in installed, f"{name} is not in the image"
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert (ROOT / source).exists()
    assert (DEPLOY / "weir.toml").exists() and check(DEPLOY / "weir.toml", WEIR_GATEWAY__HOST="0.0.0.0").returncode == 0


def test_the_compose_file_names_what_there_is():
    """S2-19, S2: weir, PostgreSQL, Grafana and Prometheus on one named network; published on this machine only."""
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    assert set(compose["services"]) == {"weir", "postgres", "grafana", "prometheus"} and compose["networks"]["weir"]["name"] == "weir"
    for name, service in compose["services"].items():
        assert service["networks"] == ["weir"], name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("."):
                assert source in compose["volumes"], volume
            elif source != "../grafana":  # comes with the dashboards
                assert (DEPLOY / "compose" / source).exists(), volume
    assert (DEPLOY / "compose" / compose["services"]["weir"]["build"]["context"] / compose["services"]["weir"]["build"]["dockerfile"]).exists()
    assert "weir:8765" in (DEPLOY / "compose" / "prometheus.yml").read_text()
    assert check(DEPLOY / "compose" / "weir.toml", DB_PASSWORD="x").returncode == 0


def test_npm_locks_name_no_registry():
    """Whoever installs uses their own registry."""
    for lock in ROOT.rglob("package-lock.json"):
        if "node_modules" in lock.parts[len(ROOT.parts):]:
            continue
        hosts = set(re.findall(r'"resolved": "https?://([^/"]+)', lock.read_text()))
        assert hosts <= {"registry.npmjs.org"}, (lock, hosts)
