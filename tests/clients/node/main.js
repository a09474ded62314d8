// What a client of kafkajs does; see tests/tests/other_clients/libraries.rs.
import { CompressionTypes, Kafka, logLevel } from "kafkajs";

const [address, count] = process.argv.slice(2);
const records = Number(count);
const kafka = new Kafka({ clientId: "tests", brokers: [address], logLevel: logLevel.ERROR });

async function produce() {
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const messages = Array.from({ length: records }, (_, i) => ({
    key: `k${i % 50}`,
    value: String(i),
    headers: { n: String(i) },
  }));
  await producer.send({ topic: "in", messages, compression: CompressionTypes.GZIP });
  await producer.disconnect();
}

async function abort() {
  const producer = kafka.producer({ transactionalId: "aborter", idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({ topic: "out", messages: [{ value: "aborted" }] });
  await transaction.abort();
  await producer.disconnect();
}

// Its commits of offsets do not name the group's generation, so that the broker cannot fence a member that was
// replaced: one member it is.
async function copyOnce() {
  const producer = kafka.producer({ transactionalId: "copier", idempotent: true, maxInFlightRequests: 1 });
  const consumer = kafka.consumer({ groupId: "copiers", maxWaitTimeInMs: 50 });
  await Promise.all([producer.connect(), consumer.connect()]);
  await consumer.subscribe({ topic: "in", fromBeginning: true });
  let copied = 0;
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer
      .run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          const transaction = await producer.transaction();
          await transaction.send({
            topic: "out",
            messages: batch.messages.map(({ key, value }) => ({ key, value })),
          });
          const offset = String(BigInt(batch.lastOffset()) + 1n);
          await transaction.sendOffsets({
            consumerGroupId: "copiers",
            topics: [{ topic: "in", partitions: [{ partition: batch.partition, offset }] }],
          });
          await transaction.commit();
          copied += batch.messages.length;
          if (copied >= records) resolve();
        },
      })
      .catch(reject);
  });
  await Promise.all([producer.disconnect(), consumer.disconnect()]);
}

await produce();
await abort();
await copyOnce();
