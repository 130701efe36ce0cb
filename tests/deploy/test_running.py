"""Every address in stack.json answers the client that the engine uses for it."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from confluent_kafka.cimpl import NewTopic
from elasticsearch import Elasticsearch
from hdfs import InsecureClient
from hdfs_native import Client as RpcClient
from redis import Redis

from broker.clients import Admin, Consumer, Producer
from tests.support.stack import address, namespace

pytestmark = pytest.mark.stack

TIMEOUT_S = 60.0


def test_kafka_takes_a_message_and_gives_it_back() -> None:
    bootstrap, topic = address("kafka")["bootstrap"], namespace()
    broker = {"bootstrap.servers": bootstrap}
    reading = {"group.id": topic, "auto.offset.reset": "earliest"}
    with Admin(broker) as admin:
        admin.client.create_topics([NewTopic(topic, 1)])[topic].result(TIMEOUT_S)
        with Producer({**broker, "enable.idempotence": True}) as producer:
            producer.produce(topic, b"order")
            assert producer.flush(TIMEOUT_S) == 0
        with Consumer({**broker, **reading}) as consumer:
            consumer.subscribe([topic])
            message = consumer.poll(TIMEOUT_S)
        admin.client.delete_topics([topic])[topic].result(TIMEOUT_S)
    assert message is not None
    assert message.value() == b"order"


def test_redis_keeps_a_key() -> None:
    key = namespace()
    with Redis.from_url(address("redis")["url"]) as client:
        client.set(key, "found", ex=60)
        assert client.get(key) == b"found"
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_elasticsearch_finds_a_document() -> None:
    index = namespace()
    with Elasticsearch(address("elasticsearch")["url"], request_timeout=TIMEOUT_S) as client:
        client.index(index=index, id="1", document={"status": "delivered"}, refresh=True)
        assert client.count(index=index, query={"match": {"status": "delivered"}})["count"] == 1
        client.indices.delete(index=index)


def test_hdfs_shows_by_rpc_what_was_written_over_the_web() -> None:
    where, folder = address("hdfs"), f"/{namespace()}"
    web = InsecureClient(where["web"], user=where["user"], timeout=TIMEOUT_S)
    web.write(f"{folder}/order", b"found", overwrite=False)
    rpc = RpcClient(where["rpc"])
    assert rpc.get_file_info(f"{folder}/order").length == len(b"found")
    with web.read(f"{folder}/order") as reader:
        assert reader.read() == b"found"
    assert web.delete(folder, recursive=True)


def test_prometheus_knows_the_alertmanager_of_the_stack() -> None:
    found = json.loads(get(address("prometheus")["url"], "/api/v1/alertmanagers"))
    urls = [one["url"] for one in found["data"]["activeAlertmanagers"]]
    assert urls == [f"{address('alertmanager')['url']}/api/v2/alerts"]


def test_alertmanager_takes_an_alert() -> None:
    url, name = address("alertmanager")["url"], namespace()
    body = json.dumps([{"labels": {"alertname": name}}])
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    alerts = json.loads(get(url, f"/api/v2/alerts?filter=alertname={name}"))
    assert [alert["labels"]["alertname"] for alert in alerts] == [name]


def get(url: str, path: str) -> bytes:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    connection.request("GET", path)
    answer = connection.getresponse().read()
    connection.close()
    return answer
