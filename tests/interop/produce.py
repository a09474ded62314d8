"""Sends the events on standard input, as JSON lines of type, key and data, by a client of choice.

    produce.py CLIENT ADDRESS TOPIC < events
"""

import json
import sys

from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer
from kafka import KafkaProducer


def cloud_event(event):
    attributes = {
        "type": event["type"],
        "source": "/lantern/tests",
        "id": event["key"],
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "partitionkey": event["key"],
    }
    return CloudEvent(attributes, event["data"])


def send_by_confluent(address, topic, messages):
    """A transaction of records compressed by zstd."""
    producer = Producer(
        {
            "bootstrap.servers": address,
            "transactional.id": f"{topic}-confluent",
            "compression.type": "zstd",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for key, value, headers in messages:
        producer.produce(topic, value, key, headers=headers)
    producer.commit_transaction(30)


def send_by_kafka_python(address, topic, messages):
    """Records compressed by gzip, each awaited at the end."""
    producer = KafkaProducer(bootstrap_servers=address, compression_type="gzip", acks="all")
    sent = [
        producer.send(topic, value, key.encode(), headers=headers)
        for key, value, headers in messages
    ]
    producer.flush(30)
    for each in sent:
        each.get(30)
    producer.close()


def with_type_in_header(events):
    for event in events:
        yield event["key"], json.dumps(event["data"]).encode(), [("type", event["type"].encode())]


def with_type_in_data(events):
    for event in events:
        yield event["key"], json.dumps(event["data"]).encode(), []


def as_cloud_events(events, bind):
    for event in events:
        message = bind(cloud_event(event), JSONFormat())
        yield message.key, message.value, list(message.headers.items())


CLIENTS = {
    "confluent-kafka": (send_by_confluent, with_type_in_header),
    "kafka-python": (send_by_kafka_python, with_type_in_data),
    "cloudevents-binary": (send_by_confluent, lambda events: as_cloud_events(events, to_binary)),
    "cloudevents-structured": (
        send_by_kafka_python,
        lambda events: as_cloud_events(events, to_structured),
    ),
}


def main():
    client, address, topic = sys.argv[1:]
    send, envelope = CLIENTS[client]
    send(address, topic, envelope([json.loads(line) for line in sys.stdin]))


main()
