"""Pictures as Kibana's aggregation-based visualizations."""

from collections.abc import Iterator

from deploy.kibana.looks import LOOKS
from deploy.kibana.pictures import Bucket, Metric, Picture
from deploy.kibana.saved_objects import Json, reference, saved, text

INDEX_REFERENCE = "kibanaSavedObjectMeta.searchSourceJSON.index"


def visualization(picture: Picture) -> Json:
    """An aggregation-based visualization."""
    state = {
        "title": picture.title,
        "type": picture.kind,
        "aggs": [*aggregations(picture)],
        "params": LOOKS[picture.kind],
    }
    source = {
        "query": {"query": picture.query, "language": "lucene"},
        "filter": [],
        "indexRefName": INDEX_REFERENCE,
    }
    attributes = {
        "title": picture.title,
        "description": picture.meaning,
        "visState": text(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": text(source)},
    }
    references = [reference(INDEX_REFERENCE, "index-pattern", picture.view.id)]
    return saved("visualization", "8.5.0", picture.id, attributes, references)


def aggregations(picture: Picture) -> Iterator[Json]:
    """Metrics first, then buckets, numbered from 1."""
    metrics = [(each.kind, "metric", metric(each)) for each in picture.metrics]
    buckets = [(each.kind, each.place, bucket(each)) for each in picture.buckets]
    for number, (kind, place, params) in enumerate((*metrics, *buckets), start=1):
        named = {"id": str(number), "enabled": True, "type": kind}
        yield {**named, "params": params, "schema": place}


def metric(part: Metric) -> Json:
    """The parameters of a metric."""
    named: Json = {"field": part.field} if part.field else {}
    if part.percents:
        named["percents"] = part.percents
    return named | ({"customLabel": part.label} if part.label else {})


def bucket(part: Bucket) -> Json:
    """The parameters of a bucket; terms are ordered by the first metric."""
    named = {"field": part.field} | ({"customLabel": part.label} if part.label else {})
    if part.kind == "date_histogram":
        rest: Json = {"interval": "auto", "min_doc_count": 1, "drop_partials": False}
        return named | rest | {"useNormalizedEsInterval": True, "extended_bounds": {}}
    return named | {
        "orderBy": "1",
        "order": "desc",
        "size": part.size,
        "otherBucket": False,
        "missingBucket": bool(part.missing),
        "missingBucketLabel": part.missing or "Missing",
    }
