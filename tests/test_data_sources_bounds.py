"""Damaged folders, tables and packed files, and what would take too much memory: one line each."""

import gzip
import io
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest
import shop_telemetry as shop
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_forms import FORMS, rcaeval_csv
from test_data_sources import written

from data.errors import FirewatchError, SchemaError
from data.sources.files.opened import File
from data.sources.files.reader import Gathered
from data.sources.files.reading import read_evidence, reader_of


def folders(folder: Path) -> Path:
    """An RCAEval case with logs and traces, and a dataset in OpenRCA's layout."""
    case, bank = folder / "RE2-OB/payment_delay/1", folder / "Bank"
    spans = [
        (s["trace"], s["id"], s["parent"], s["service"], s["start"], s["seconds"])
        for s in islice(shop.spans(), 200)
    ]
    ours = [f"{t},{i},{p},{s},op,{a * 1e6:.0f},{d * 1e6:.0f},0" for t, i, p, s, a, d in spans]
    theirs = [f"{a * 1e3:.0f},{s},{p},{i},{t},{d * 1e3:.0f}" for t, i, p, s, a, d in spans]
    when = int(shop.times[60])
    head = "traceID,spanID,parentSpanID,serviceName,operationName,startTime,duration,statusCode"
    files = {
        case / "inject_time.txt": str(when),
        case / "simple_metrics.csv": rcaeval_csv(),
        case / "traces.csv": "\n".join([head, *ours]),
        case / "logs.csv": f"timestamp,container_name,message,level\n{when}000,payment,failed,error\n",
        case / "logts.csv": f"time,payment_1\n{when},3\n",
        bank / "record.csv": f"component,timestamp,reason\npayment,{when},cpu\n",
        bank / "telemetry/2023_11_15/metric/m.csv": f"timestamp,cmdb_id,kpi_name,value\n{when},web,cpu,1\n",
        bank / "telemetry/2023_11_15/trace/t.csv": "\n".join(
            ["timestamp,cmdb_id,parent_id,span_id,trace_id,duration", *theirs]
        ),
        bank / "telemetry/2023_11_15/log/l.csv": f"log_id,timestamp,cmdb_id,value\n1,{when},payment,error\n",
    }  # fmt: skip
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def spoilt(data: st.DataObject, content: bytes) -> bytes:
    raw = bytearray(content[: data.draw(st.integers(1, len(content)))])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(
            st.sampled_from([b"", b"\x00", b"9e999", b'"', b",,\n"])
        )
    return bytes(raw)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = folders(tmp_path_factory.mktemp("whole"))
    pd.read_csv(io.StringIO(shop.table(shop.long))).to_parquet(folder / "t.parquet")
    (folder / "t.gz").write_bytes(gzip.compress(FORMS["Kiali"]["kiali.json"].encode()))
    (folder / "t.zst").write_bytes(zstandard.ZstdCompressor().compress(FORMS["Kiali"]["kiali.json"].encode()))
    return folder


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damaged_folders_and_packed_files_are_refused_in_one_line_or_read(data, whole):
    path = data.draw(st.sampled_from(sorted(file for file in whole.rglob("*") if file.is_file())))
    content = path.read_bytes()
    path.write_bytes(spoilt(data, content))
    try:
        read_evidence([path] if path.parent == whole else [whole / path.relative_to(whole).parts[0]])
    except FirewatchError as refused:
        assert "\n" not in str(refused)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "form", ["Jaeger", "query_range", "long table", "OTLP logs", "Zipkin", "OpenMetrics"]
)
def test_what_would_take_too_much_memory_is_refused(form, tmp_path):
    for path in written(tmp_path, FORMS[form]):
        gathered = Gathered(room_bytes=20_000)
        with pytest.raises(SchemaError, match="--limit"):
            reader_of(File(path)).read(File(path), gathered)
            gathered.finish()
        break
