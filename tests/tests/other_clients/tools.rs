use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};
use lantern_tests::kafka;
use lantern_tests::site::transcript;
use tempfile::TempDir;

use super::Broker;

const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";
const PRODUCER_SPEED: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER_SPEED: &str = "org.apache.kafka.tools.ConsumerPerformance";
const VERIFIABLE_PRODUCER: &str = "org.apache.kafka.tools.VerifiableProducer";
const VERIFIABLE_CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";

// What an operator does by habit on a new broker: topics are made, looked at, enlarged, deleted.
#[test]
fn topics_are_administered_by_kafkas_tools() -> Result<()> {
    check(|tools| {
        tools
            .run(
                TOPICS,
                "--create --topic orders --partitions 3 --replication-factor 1 --config retention.ms=9000000",
            )?
            .says(&["Created topic orders."])?;
        tools.run(TOPICS, "--create --topic orders --if-not-exists")?.says(&[])?;
        tools.run(TOPICS, "--create --topic orders")?.refuses("exists")?;
        tools.run(TOPICS, "--create --topic odd --config no.such=1")?.refuses("no.such")?;
        tools.run(TOPICS, "--describe --topic orders")?.says(&[
            "PartitionCount: 3\tReplicationFactor: 1",
            "retention.ms=9000000",
            "Partition: 2\tLeader: 1\tReplicas: 1\tIsr: 1",
        ])?;
        tools.run(TOPICS, "--alter --topic orders --partitions 5")?.says(&[])?;
        tools.run(TOPICS, "--alter --topic orders --partitions 2")?.refuses("2")?;
        tools.run(TOPICS, "--describe --topic orders")?.says(&["PartitionCount: 5"])?;
        tools.run(TOPICS, "--describe --under-replicated-partitions")?.says_nothing()?;
        tools.run(TOPICS, "--create --topic short-lived")?.says(&[])?;
        tools.run(TOPICS, "--list")?.says(&["orders\n", "short-lived\n"])?;
        tools.run(TOPICS, "--delete --topic short-lived")?.says(&[])?;
        tools.run(TOPICS, "--describe --topic short-lived")?.refuses("does not exist")?;

        tools.run(CONFIGS, "--alter --topic orders --delete-config retention.ms --add-config cleanup.policy=[compact,delete],segment.ms=7000000")?
            .says(&["Completed updating config for topic orders."])?;
        tools
            .run(CONFIGS, "--describe --topic orders")?
            .says(&["cleanup.policy=compact,delete", "segment.ms=7000000"])?
            .does_not_say("retention.ms=9000000")?;
        tools.run(CONFIGS, "--alter --topic orders --add-config segment.ms=soon")?.refuses("segment.ms")?;
        tools
            .run(CONFIGS, "--describe --entity-type brokers --entity-name 1 --all")?
            .says(&["message.max.bytes=1048588"])?;
        Ok(())
    })
}

// The Java client sends and reads, and what its groups have read is listed, moved and forgotten.
#[test]
fn records_and_groups_go_through_kafkas_tools() -> Result<()> {
    check(|tools| {
        tools.run(TOPICS, "--create --topic orders --partitions 3")?.says(&[])?;
        let lines: String = (0..100).map(|i| format!("kind:{i}\tk{i}\tvalue {i}\n")).collect();
        tools
            .feed(PRODUCER, "--topic orders --property parse.key=true --property parse.headers=true", &lines)?
            .says(&[])?;
        let found = tools.run(
            CONSUMER,
            "--topic orders --group readers --from-beginning --max-messages 100 --timeout-ms 20000 \
             --property print.key=true --property print.headers=true",
        )?;
        let mut sorted: Vec<&str> = found.text.lines().filter(|line| line.starts_with("kind:")).collect();
        sorted.sort_unstable();
        let mut wanted: Vec<&str> = lines.lines().collect();
        wanted.sort_unstable();
        ensure!(sorted == wanted, "the consumer printed {}", found.text);
        tools.run(CONSUMER, "--topic orders --partition 1 --offset 2 --max-messages 3 --timeout-ms 20000 --isolation-level read_committed")?
            .says(&["Processed a total of 3 messages"])?;

        tools.run(OFFSETS, "--topic orders --time earliest")?.says(&[
            "orders:0:0",
            "orders:1:0",
            "orders:2:0",
        ])?;
        let latest = tools.run(OFFSETS, "--topic orders --time latest")?;
        let ends: Vec<i64> =
            latest.text.lines().filter_map(|line| line.rsplit(':').next()?.parse().ok()).collect();
        ensure!(ends.len() == 3 && ends.iter().sum::<i64>() == 100, "{}", latest.text);
        tools.run(OFFSETS, "--topic orders --time 1600000000000")?.says(&["orders:0:0"])?;
        tools.run(OFFSETS, "--topic orders --time max-timestamp")?.says(&["orders:0:", "orders:2:"])?;

        tools.run(GROUPS, "--list --state")?.says(&["readers", "Empty"])?;
        let end = ends[0];
        let described = tools.run(GROUPS, "--describe --group readers")?;
        ensure!(described.rows("orders 0") == [format!("{end} {end} 0 - - -")], "{}", described.text);
        tools
            .run(GROUPS, "--describe --group readers --members --verbose")?
            .says(&["has no active members"])?;
        tools.run(GROUPS, "--describe --group readers --state")?.says(&["Empty"])?;
        tools
            .run(GROUPS, "--reset-offsets --group readers --topic orders --to-earliest --dry-run")?
            .says(&["readers"])?;
        tools
            .run(GROUPS, "--reset-offsets --group readers --topic orders --shift-by -2 --execute")?
            .says(&["readers"])?;
        let described = tools.run(GROUPS, "--describe --group readers")?;
        ensure!(described.rows("orders 0") == [format!("{} {end} 2 - - -", end - 2)], "{}", described.text);
        tools.run(GROUPS, "--reset-offsets --group readers --topic orders:1 --to-datetime 2020-01-01T00:00:00.000 --execute")?
            .says(&["readers"])?;
        tools
            .run(GROUPS, "--reset-offsets --all-groups --topic orders --to-current --dry-run --export")?
            .says(&["readers,orders,1,0"])?;
        tools.run(GROUPS, "--delete-offsets --group readers --topic orders")?.says(&["Successful"])?;
        tools.run(GROUPS, "--delete --group readers")?.says(&["was successful"])?;
        tools.run(GROUPS, "--describe --group readers")?.refuses("readers")?;

        tools.feed_file(DELETE_RECORDS, "--offset-json-file", r#"{"version":1,"partitions":[{"topic":"orders","partition":0,"offset":5},{"topic":"orders","partition":1,"offset":-1}]}"#)?
            .says(&["partition: orders-0\tlow_watermark: 5"])?;
        tools
            .run(OFFSETS, "--topic orders --time earliest")?
            .says(&["orders:0:5", &format!("orders:1:{}", ends[1])])?;
        Ok(())
    })
}

// Load, acknowledged records by number, and transactions as an operator looks at them.
#[test]
fn kafkas_tools_for_load_and_transactions_work() -> Result<()> {
    check(|tools| {
        tools.run(TOPICS, "--create --topic load --partitions 2")?.says(&[])?;
        let to = tools.properties("--topic load");
        tools
            .alone(PRODUCER_SPEED, &format!("{to} --num-records 20000 --record-size 200 --throughput -1"))?
            .says(&["20000 records sent"])?;
        tools.run(CONSUMER_SPEED, "--topic load --messages 20000 --timeout 20000")?.says(&[", 20000, "])?;
        let transactional = "--num-records 2000 --record-size 100 --throughput -1 --transactional-id mover --transaction-duration-ms 20";
        tools.alone(PRODUCER_SPEED, &format!("{to} {transactional}"))?.says(&["2000 records sent"])?;

        tools.run(TRANSACTIONS, "list")?.says(&["mover", "CompleteCommit"])?;
        tools.run(TRANSACTIONS, "describe --transactional-id mover")?.says(&["mover", "CompleteCommit"])?;
        tools
            .run(TRANSACTIONS, "describe-producers --topic load --partition 0")?
            .says(&["ProducerId", "None"])?;
        let hanging = tools.run(TRANSACTIONS, "find-hanging --broker-id 1")?;
        ensure!(hanging.text.lines().count() == 1, "no transaction hangs: {}", hanging.text);

        tools.run(TOPICS, "--create --topic numbered --partitions 2")?.says(&[])?;
        // It says what became of its records when its process ends.
        let output = kafka::tool(VERIFIABLE_PRODUCER)?
            .args(["--bootstrap-server", tools.broker.address()])
            .args("--topic numbered --max-messages 50 --acks -1".split(' '))
            .output()?;
        ensure!(String::from_utf8_lossy(&output.stdout).contains("\"acked\":50"), "{}", transcript(&output));
        tools
            .run(
                VERIFIABLE_CONSUMER,
                "--topic numbered --group-id numbers --max-messages 50 --reset-policy earliest",
            )?
            .says(&["partitions_assigned", "offsets_committed", "\"success\":true"])?;
        Ok(())
    })
}

fn check(expectations: impl FnOnce(&mut Tools) -> Result<()>) -> Result<()> {
    let Some(mut program) = kafka::program("Tools")? else {
        return Ok(());
    };
    let broker = Broker::start()?;
    let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdin = process.stdin.take().context("its input is piped")?;
    let stdout = BufReader::new(process.stdout.take().context("its output is piped")?);
    let folder = TempDir::new()?;
    expectations(&mut Tools { broker, process, stdin, stdout, folder })
}

/// A Java process that runs one tool after the other.
struct Tools {
    broker: Broker,
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    folder: TempDir,
}

/// What a tool did.
struct Said {
    command: String,
    status: i32,
    text: String,
}

impl Tools {
    /// Runs a tool with words as a shell would divide them.
    fn run(&mut self, class: &str, words: &str) -> Result<Said> {
        let address = self.broker.address().to_owned();
        self.command(class, "", &format!("--bootstrap-server {address} {words}"))
    }

    /// Runs a tool that takes the broker's address in its own way.
    fn alone(&mut self, class: &str, words: &str) -> Result<Said> {
        self.command(class, "", words)
    }

    /// Runs a tool with text on its standard input.
    fn feed(&mut self, class: &str, words: &str, input: &str) -> Result<Said> {
        let path = self.folder.path().join("input");
        fs::write(&path, input)?;
        let address = self.broker.address().to_owned();
        self.command(class, &path.to_string_lossy(), &format!("--bootstrap-server {address} {words}"))
    }

    /// Runs a tool with a file as the value of its last option.
    fn feed_file(&mut self, class: &str, option: &str, content: &str) -> Result<Said> {
        let path = self.folder.path().join("file");
        fs::write(&path, content)?;
        self.run(class, &format!("{option} {}", path.display()))
    }

    /// A producer's settings as the load generator takes them.
    fn properties(&self, words: &str) -> String {
        format!("{words} --producer-props bootstrap.servers={}", self.broker.address())
    }

    fn command(&mut self, class: &str, input: &str, words: &str) -> Result<Said> {
        let command = format!("{class} {words}");
        let words: Vec<&str> = words.split_whitespace().collect();
        writeln!(self.stdin, "{class}\t{input}\t{}", words.join("\t"))?;
        let mut head = String::new();
        self.stdout.read_line(&mut head)?;
        let (status, bytes) =
            head.trim().split_once(' ').with_context(|| format!("{command}: the process ended"))?;
        let mut text = vec![0; bytes.parse()?];
        self.stdout.read_exact(&mut text)?;
        Ok(Said { command, status: status.parse()?, text: String::from_utf8(text)? })
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        // It may have ended already, and the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Said {
    /// It ended well and printed all of this.
    fn says(&self, wanted: &[&str]) -> Result<&Self> {
        ensure!(self.status == 0, "{self}");
        for each in wanted {
            ensure!(self.text.contains(each), "{each:?} is missing: {self}");
        }
        Ok(self)
    }

    fn says_nothing(&self) -> Result<()> {
        ensure!(self.status == 0 && self.text.trim().is_empty(), "{self}");
        Ok(())
    }

    fn does_not_say(&self, unwanted: &str) -> Result<()> {
        ensure!(!self.text.contains(unwanted), "{unwanted:?} is there: {self}");
        Ok(())
    }

    /// It ended with an error, or said one, that names this.
    fn refuses(&self, reason: &str) -> Result<()> {
        let is_error = self.status != 0 || self.text.contains("Error");
        ensure!(is_error && self.text.contains(reason), "{self}");
        Ok(())
    }

    /// Of a table, the rest of each row whose columns from the second on begin with these words.
    fn rows(&self, start: &str) -> Vec<String> {
        let rows = self.text.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().skip(1).collect();
            Some(columns.join(" ").strip_prefix(start)?.trim().to_owned())
        });
        rows.collect()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {}:\n{}", self.command, self.status, self.text)
    }
}
