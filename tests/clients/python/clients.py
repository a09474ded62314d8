"""What clients of confluent-kafka and kafka-python do; see tests/tests/other_clients/libraries.rs.

    clients.py CLIENT ADDRESS RECORDS
"""

import sys
import threading
import time

import confluent_kafka
import kafka
from confluent_kafka import KafkaError, KafkaException

BATCH = 100


class Progress:
    """What the members of the group have committed together."""

    def __init__(self, records):
        self.left = records
        self.lock = threading.Lock()
        self.begun = threading.Event()
        self.done = threading.Event()
        self.failure = None

    def committed(self, records):
        with self.lock:
            self.left -= records
            if self.left <= 0:
                self.done.set()
        self.begun.set()

    def run(self, *members):
        """Each member joins when the one before has begun, so that a transaction meets a rebalance."""
        threads = []
        for number, member in enumerate(members):
            thread = threading.Thread(target=self._member, args=(member, f"copier-{number}"))
            thread.start()
            threads.append(thread)
            self.begun.wait(30)
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure

    def _member(self, member, name):
        try:
            member(name, self)
        except Exception as failure:  # Told by the thread that waits.
            self.failure = failure
            self.done.set()
            self.begun.set()


def seek(consumer, position):
    """Goes to a position, which is refused while a partition that was just assigned has not begun."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return consumer.seek(position)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def confluent(address, records):
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "compression.type": "lz4"})
    for i in range(records):
        producer.produce("in", str(i), f"k{i % 50}", headers={"n": str(i)})
    assert producer.flush(30) == 0

    aborter = confluent_kafka.Producer({"bootstrap.servers": address, "transactional.id": "aborter"})
    aborter.init_transactions(30)
    aborter.begin_transaction()
    aborter.produce("out", "aborted")
    aborter.flush(30)
    aborter.abort_transaction(30)

    def member(name, progress):
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "copiers",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
            }
        )
        producer = confluent_kafka.Producer({"bootstrap.servers": address, "transactional.id": name})
        producer.init_transactions(30)
        consumer.subscribe(["in"])
        while not progress.done.is_set():
            messages = consumer.consume(BATCH, 0.1)
            if not messages:
                continue
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            producer.begin_transaction()
            for message in messages:
                producer.produce("out", message.value(), message.key())
            try:
                offsets = consumer.position(consumer.assignment())
                producer.send_offsets_to_transaction(
                    [offset for offset in offsets if offset.offset >= 0],
                    consumer.consumer_group_metadata(),
                    30,
                )
                producer.commit_transaction(30)
                progress.committed(len(messages))
            except KafkaException as error:
                if not error.args[0].txn_requires_abort():
                    raise
                # The group was rebalanced: what is read again is what was committed last.
                producer.abort_transaction(30)
                for committed in consumer.committed(consumer.assignment(), 30):
                    committed.offset = max(committed.offset, 0)
                    seek(consumer, committed)
        consumer.close()

    Progress(records).run(member, member)


def kafka_python(address, records):
    producer = kafka.KafkaProducer(bootstrap_servers=address, compression_type="gzip")
    sent = [
        producer.send("in", str(i).encode(), f"k{i % 50}".encode(), headers=[("n", str(i).encode())])
        for i in range(records)
    ]
    producer.flush(30)
    for each in sent:
        each.get(30)
    producer.close()

    aborter = kafka.KafkaProducer(bootstrap_servers=address, transactional_id="aborter")
    aborter.init_transactions()
    aborter.begin_transaction()
    aborter.send("out", b"aborted").get(30)
    aborter.abort_transaction()
    aborter.close()

    def member(name, progress):
        consumer = kafka.KafkaConsumer(
            "in",
            bootstrap_servers=address,
            group_id="copiers",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        producer = kafka.KafkaProducer(bootstrap_servers=address, transactional_id=name)
        producer.init_transactions()
        while not progress.done.is_set():
            batches = consumer.poll(timeout_ms=100, max_records=BATCH)
            if not batches:
                continue
            producer.begin_transaction()
            offsets = {}
            for partition, messages in batches.items():
                for message in messages:
                    producer.send("out", message.value, message.key)
                offsets[partition] = kafka.OffsetAndMetadata(messages[-1].offset + 1, "", -1)
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            producer.commit_transaction()
            progress.committed(sum(len(messages) for messages in batches.values()))
        consumer.close()
        producer.close()

    Progress(records).run(member)


CLIENTS = {"confluent-kafka": confluent, "kafka-python": kafka_python}
client, address, records = sys.argv[1:]
CLIENTS[client](address, int(records))
