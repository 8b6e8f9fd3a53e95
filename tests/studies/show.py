"""Shows that a study survives being killed, and that its report opens in a browser.

    python3 tests/studies/show.py [--out DIR]

Needs target/release/ddn-train and chromium; `bash tests/run studies` sees to both. With --out, reports and screenshots
stay in DIR.
"""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TRAIN = TOP / "target" / "release" / "ddn-train"
STUDY = TOP / "trainer" / "studies" / "quickstart.toml"
CELLS = 12

# What holds times, or nothing that a run is judged by.
APART = re.compile(r"^(timing\.jsonl|run\.lock|events\.out\.tfevents.*)$")


def sweep(out: pathlib.Path) -> subprocess.Popen:
    command = [TRAIN, "sweep", STUDY, "--scale", "small", "--out", out, "--jobs", "2", "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def finish(process: subprocess.Popen) -> None:
    said, _ = process.communicate()
    if process.returncode != 0 or not said.startswith(f"{CELLS} of {CELLS} cells done"):
        sys.exit(f"the study ended with {process.returncode}: {said}")


def done(out: pathlib.Path) -> int:
    return len(list(out.glob("*/*/*/summary.json")))


def kill_at(out: pathlib.Path, cells: int) -> None:
    process = sweep(out)
    while done(out) < cells:
        if process.poll() is not None:
            sys.exit(f"the study ended with {process.returncode} before {cells} cells were done")
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    print(f"killed with {done(out)} of {CELLS} cells done")


def files(out: pathlib.Path) -> dict:
    paths = (path for path in out.rglob("*") if path.is_file() and not APART.match(path.name))
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def killed(folder: pathlib.Path) -> None:
    began = time.monotonic()
    finish(sweep(folder / "undisturbed"))
    print(f"undisturbed: {CELLS} cells in {time.monotonic() - began:.0f} s")
    kill_at(folder / "killed", 3)
    kill_at(folder / "killed", 7)
    finish(sweep(folder / "killed"))
    want, have = files(folder / "undisturbed"), files(folder / "killed")
    differing = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if differing:
        sys.exit(f"{len(differing)} files differ: {', '.join(differing[:5])}")
    print(f"killed twice: {len(have)} files, {sum(map(len, have.values()))} bytes, equal")


def chromium(page: pathlib.Path, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = ["timeout", "120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=3000", *options]
        run = subprocess.run([*command, page.as_uri()], capture_output=True, text=True)
    complaints = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    if run.returncode != 0 or complaints:
        sys.exit(f"chromium ended with {run.returncode}: {complaints or run.stderr[-500:]}")
    return run.stdout


# Adds to the page what a test wants to know: is anything wider than the window, or a label cut by its picture?
PROBE = """<script type="module">
const cut = [];
for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll('text')) {
        const box = text.getBoundingClientRect();
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1) {
            cut.push(text.textContent);
        }
    }
    const ticks = [...svg.querySelectorAll('text[text-anchor=middle]:not(.axis)')].map((t) => t.getBoundingClientRect());
    ticks.sort((a, b) => a.left - b.left);
    ticks.forEach((box, index) => {
        if (index > 0 && box.left < ticks[index - 1].right && Math.abs(box.top - ticks[index - 1].top) < 2) {
            cut.push('overlap');
        }
    });
}
document.getElementById('seeds').click();
document.body.dataset.cut = cut.join('|');
document.body.dataset.wide = String(document.documentElement.scrollWidth > innerWidth);
document.body.dataset.seeds = String(getComputedStyle(document.querySelector('.seed')).display);
document.body.dataset.plots = String(document.querySelectorAll('figure .mean').length);
</script></body>"""


def browser(folder: pathlib.Path) -> None:
    page = folder / "report.html"
    subprocess.run([TRAIN, "report", folder / "killed", "-o", page], check=True, stdout=subprocess.DEVNULL)
    text = page.read_text()
    if re.search(r'(src|href)="(?!data:)', text.replace("srcdoc", "")) or "http://" in text.replace("http://www.w3.org/", ""):
        sys.exit("the report asks for something outside of it")
    probe = folder / "probe.html"
    for width in (1200, 420):
        head, tail = text.rsplit("</body>", 1)
        probe.write_text(head + PROBE + tail)
        dom = chromium(probe, f"--window-size={width},2000", "--dump-dom")
        facts = dict(re.findall(r'data-(cut|wide|seeds|plots)="([^"]*)"', dom))
        if facts.get("cut") or facts.get("wide") != "false" or facts.get("seeds") != "inline":
            sys.exit(f"at {width} pixels: {facts}")
        print(f"report at {width} pixels: {facts['plots']} curves, no label cut, nothing wider than the window")
    probe.unlink()
    for name, options in [("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])]:
        chromium(page, "--window-size=1200,3600", f"--screenshot={folder / name}.png", *options)
    print(f"report: {len(text)} bytes, opened light and dark without a complaint")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as scratch:
        folder = (out or pathlib.Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        killed(folder)
        browser(folder)


if __name__ == "__main__":
    main()
