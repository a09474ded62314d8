// The aggregate of tests/conformance/README.md, which says what each command and event does.
package main

import (
	"math"

	"lantern.dev/sdk-go/aggregate"
	"lantern.dev/sdk-go/lantern"
)

type counter struct {
	Count int64   `json:"count"`
	Sum   int64   `json:"sum"`
	Note  *string `json:"note"`
}

type (
	add struct {
		N int64 `json:"n"`
	}
	addMany struct {
		N []int64 `json:"n"`
	}
	note struct {
		Text string `json:"text"`
	}
	crash struct{}
)

func (add) LanternName() string     { return "Add" }
func (addMany) LanternName() string { return "AddMany" }
func (note) LanternName() string    { return "Note" }
func (crash) LanternName() string   { return "Crash" }

type (
	// Added is an event.
	Added struct {
		N int64 `json:"n"`
	}
	// Noted is an event.
	Noted struct {
		Text        string  `json:"text"`
		Aggregate   string  `json:"aggregate"`
		ID          string  `json:"id"`
		Version     int64   `json:"version"`
		TimeMs      int64   `json:"time_ms"`
		Correlation *string `json:"correlation"`
	}
	// Crashed is an event.
	Crashed struct{}
)

func init() {
	aggregate.Export(aggregate.Aggregate[counter, any, any]{
		Manifest: lantern.Manifest{Name: "counter-go", Topics: []string{"counter-go"}},
		Commands: []any{add{}, addMany{}, note{}, crash{}},
		Events:   []any{Added{}, Noted{}, Crashed{}},
		Decide:   decide,
		Evolve:   evolve,
	})
}

func main() {}

func decide(state counter, command any, context aggregate.Context) ([]any, error) {
	switch c := command.(type) {
	case add:
		switch {
		case c.N < 0:
			return nil, aggregate.Reject("negative", "n is %d", c.N).WithDetail(map[string]int64{"n": c.N})
		case c.N == 0:
			return nil, nil
		case state.Sum > math.MaxInt64-c.N:
			return nil, aggregate.Reject("overflow", "the sum is %d", state.Sum)
		}
		return []any{Added(c)}, nil
	case addMany:
		var events []any
		for _, n := range c.N {
			events = append(events, Added{n})
		}
		return events, nil
	case note:
		return []any{Noted{c.Text, context.Aggregate, context.ID, context.Version, context.TimeMs, context.Correlation}}, nil
	case crash:
		panic("boom")
	}
	return nil, nil
}

func evolve(state *counter, event any) {
	state.Count++
	switch e := event.(type) {
	case Added:
		state.Sum += e.N
	case Noted:
		state.Note = &e.Text
	case Crashed:
		panic("boom")
	}
}
