// What a client of franz-go does; see tests/tests/other_clients/libraries.rs.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	address := os.Args[1]
	records, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := produce(ctx, address, records); err != nil {
		log.Fatal("produce: ", err)
	}
	if err := abort(ctx, address); err != nil {
		log.Fatal("abort: ", err)
	}
	if err := copyOnce(ctx, address, records); err != nil {
		log.Fatal("copy: ", err)
	}
}

func produce(ctx context.Context, address string, records int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("in"),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range records {
		number := strconv.Itoa(i)
		client.Produce(ctx, &kgo.Record{
			Key:     fmt.Appendf(nil, "k%d", i%50),
			Value:   []byte(number),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(number)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				log.Fatal("a record was refused: ", err)
			}
		})
	}
	return client.Flush(ctx)
}

func abort(ctx context.Context, address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("out"), kgo.TransactionalID("aborter"))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("aborted")).FirstErr(); err != nil {
		return err
	}
	return client.EndTransaction(ctx, kgo.TryAbort)
}

// copyOnce has a group of two copy everything. The second member joins while the first is at work, so that a
// transaction meets a rebalance.
func copyOnce(ctx context.Context, address string, records int) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	var copied atomic.Int64
	var members sync.WaitGroup
	failures := make(chan error, 2)
	begun := make(chan struct{})
	var once sync.Once
	member := func(name string) {
		defer members.Done()
		err := copyAs(ctx, address, name, func(more int) {
			once.Do(func() { close(begun) })
			if copied.Add(int64(more)) >= int64(records) {
				done()
			}
		})
		if err != nil {
			failures <- err
			done()
		}
	}
	members.Add(2)
	go member("first")
	select {
	case <-begun:
	case <-ctx.Done():
	}
	go member("second")
	members.Wait()
	close(failures)
	return <-failures
}

func copyAs(ctx context.Context, address, name string, committed func(int)) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(address),
		kgo.TransactionalID("copier-"+name),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.ConsumerGroup("copiers"),
		kgo.ConsumeTopics("in"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DefaultProduceTopic("out"),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		fetches := session.PollRecords(ctx, 100)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Key: record.Key, Value: record.Value}, func(_ *kgo.Record, err error) {
				if err != nil {
					log.Print("a copy was refused: ", err)
				}
			})
		})
		ok, err := session.End(context.Background(), kgo.TryCommit)
		if err != nil {
			return err
		}
		if ok {
			committed(fetches.NumRecords())
		}
	}
}
