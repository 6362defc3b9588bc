"""Make the logs in `data/`: a weekend of an invented web shop, the same bytes each time.

    python docs/examples/make_access_log.py [FOLDER]

Addresses are from the ranges that RFC 5737 sets aside for documentation. On Sunday afternoon the checkout fails.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 5737
DAYS = [datetime(2025, 3, day, tzinfo=UTC) for day in (7, 8, 9)]
REQUESTS_PER_DAY = 1_000
NETWORKS = ["192.0.2", "198.51.100", "203.0.113"]
PATHS = {
    "/": 30,
    "/catalog/boots": 22,
    "/catalog/tents": 18,
    "/search?q=stove": 12,
    "/checkout": 10,
    "/favicon.ico": 8,
}
NOISE = ["-", "\\x16\\x03\\x01\\x02\\x00", "192.0.2.99 - - [broken"]


def answer(rng: random.Random, path: str, moment: datetime) -> int:
    """Choose a status: some pages are moved or gone, and the checkout is down on Sunday from noon to six."""
    if path == "/checkout" and moment.day == DAYS[-1].day and 12 <= moment.hour < 18:
        return 503
    if path == "/favicon.ico":
        return 404
    return rng.choices([200, 304, 404, 500], [88, 9, 2, 1])[0]


def request(rng: random.Random, moment: datetime) -> str:
    """Return one line in common log format."""
    [path] = rng.choices(list(PATHS), list(PATHS.values()))
    host = f"{NETWORKS[int(rng.random() * 3)]}.{1 + int(rng.random() * 254)}"
    method = "POST" if path == "/checkout" else "GET"
    size = 200 + int(rng.random() * 20_000)
    return f'{host} - - [{moment:%d/%b/%Y:%H:%M:%S %z}] "{method} {path} HTTP/1.1" {answer(rng, path, moment)} {size}'


def day_of_requests(rng: random.Random, day: datetime) -> list[str]:
    """Return the lines of one day in their order, with a line of noise after every 400th."""
    seconds = sorted(int(86_400 * (rng.random() + rng.random()) / 2) for _ in range(REQUESTS_PER_DAY))
    lines = []
    for number, second in enumerate(seconds, start=1):
        lines.append(request(rng, day + timedelta(seconds=second)))
        if number % 400 == 0:
            lines.append(rng.choices(NOISE)[0])
    return lines


def main(folder: Path) -> None:
    """Write one file for each day."""
    rng = random.Random(SEED)
    for day in DAYS:
        (folder / f"access-{day:%Y-%m-%d}.log").write_text("\n".join(day_of_requests(rng, day)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("data"))
