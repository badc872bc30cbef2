"""Metrics appear under their names, in the text format, and files are whole or absent."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from fairlead.core.errors import ConfigurationError, StorageError
from fairlead.telemetry.metrics import FEATURE_DRIFT_PSI, GaugeFamily, Metrics


@pytest.fixture
def metrics():
    return Metrics(CollectorRegistry())


def test_the_gauge_of_drift_is_rendered_by_its_name_and_label(metrics):
    metrics.gauge(FEATURE_DRIFT_PSI).labels("rsi").set(0.25)
    text = metrics.render().decode()
    assert 'feature_drift_psi{feature="rsi"} 0.25\n' in text
    assert "# TYPE feature_drift_psi gauge\n" in text
    assert "# HELP feature_drift_psi Population stability index" in text


def test_a_family_is_registered_once(metrics):
    assert metrics.gauge(FEATURE_DRIFT_PSI) is metrics.gauge(FEATURE_DRIFT_PSI)


def test_two_registries_share_nothing(metrics):
    metrics.gauge(FEATURE_DRIFT_PSI).labels("rsi").set(1.0)
    assert Metrics(CollectorRegistry()).render() == b""


def test_a_name_that_is_taken_is_refused(metrics):
    metrics.gauge(FEATURE_DRIFT_PSI)
    with pytest.raises(ConfigurationError, match="metric 'feature_drift_psi' cannot be registered: Duplicated timeseries"):
        metrics.gauge(GaugeFamily("feature_drift_psi", "Another meaning."))


def test_the_file_is_replaced_whole(metrics, tmp_path):
    path = tmp_path / "new" / "fairlead.prom"
    gauge = metrics.gauge(FEATURE_DRIFT_PSI)
    for value in (0.5, 0.125):
        gauge.labels("rsi").set(value)
        metrics.write_textfile(path)
    (family,) = text_string_to_metric_families(path.read_text())
    assert [(s.labels, s.value) for s in family.samples] == [({"feature": "rsi"}, 0.125)]
    assert [p.name for p in path.parent.iterdir()] == ["fairlead.prom"]
    assert path.read_bytes() == metrics.render()


def test_a_file_that_the_collector_would_not_read_is_refused(metrics, tmp_path):
    with pytest.raises(ConfigurationError, match=r"'path' must end in .prom, was .*fairlead.txt'"):
        metrics.write_textfile(tmp_path / "fairlead.txt")


def test_a_disk_that_refuses_leaves_the_old_file_and_no_other(metrics, tmp_path):
    folder = tmp_path / "fairlead.prom"
    folder.mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*fairlead.prom: Is a directory"):
        metrics.write_textfile(folder)
    assert list(tmp_path.iterdir()) == [folder]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        metrics.write_textfile(tmp_path / "file" / "fairlead.prom")
