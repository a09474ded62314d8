package lantern

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Manifest is what a plugin is called, what it reads, and its tables.
type Manifest struct {
	// Name is also the read model's, or the aggregate's type: lower-case letters, digits, '-' and '_', at most 64, starting
	// with a letter.
	Name string
	// Version is the plugin's own, for people.
	Version string
	// Description says in a sentence what it does, for people.
	Description string
	// Topics are those that it reads, at least one. An aggregate has one, which its events are appended to.
	Topics []string
	// Types are the event types that it reads; all, if none is named. Others never reach the plugin, which is fastest.
	Types []string
	// Headers are those that it reads: none, unless they are named. Fewer are faster.
	Headers []string
	// AllHeaders reads all headers.
	AllHeaders bool
	// Envelope says where an event's type stands, where that is not CloudEvents.
	Envelope Envelope
	// Schema are the statements that make the tables: they run in order on an empty database.
	Schema []string
	// StateVersion is to be raised when the same events now give other rows: the read model is then rebuilt. 1 at first, which
	// is what 0 stands for.
	StateVersion uint32
	// Queries are offered by name.
	Queries []Query
	// Sends are the types of the aggregates that it sends commands to, by [DB.Send]: a projection that does is a process
	// manager.
	Sends []string
}

// Query is one statement that reads, offered by name. Its parameters are named :name.
type Query struct {
	Name        string
	SQL         string
	Description string
}

// Envelope is where an event's type stands. The zero value is CloudEvents.
type Envelope struct {
	kind  string
	value string
}

// CloudEvents are events in Kafka's binary or structured content mode of CloudEvents.
func CloudEvents() Envelope { return Envelope{} }

// TypeInHeader means that the type stands in a header of the record.
func TypeInHeader(name string) Envelope { return Envelope{"header", name} }

// TypeInField means that the type stands in a field of the JSON payload; dots lead into objects.
func TypeInField(field string) Envelope { return Envelope{"json-field", field} }

// TypeOfTopic means that every event of a topic is of one type: the one given, or if it is empty the topic's name.
func TypeOfTopic(name string) Envelope { return Envelope{"topic", name} }

// MarshalJSON writes the envelope as the contract has it.
func (e Envelope) MarshalJSON() ([]byte, error) {
	fields := map[string]string{"kind": e.kind}
	switch {
	case e.kind == "":
		fields["kind"] = "cloud-events"
	case e.kind == "header":
		fields["name"] = e.value
	case e.kind == "json-field":
		fields["field"] = e.value
	case e.value != "":
		fields["type"] = e.value
	}
	return json.Marshal(fields)
}

// What a process manager's commands say of their cause stands in these headers.
var headersOfSenders = []string{"ce_id", "ce_correlationid"}

// JSON is the manifest as the host reads it.
func (m Manifest) JSON() string {
	type query struct {
		SQL         string `json:"sql"`
		Description string `json:"description"`
	}
	wire := struct {
		Name         string           `json:"name"`
		Version      string           `json:"version"`
		Description  string           `json:"description,omitempty"`
		Topics       []string         `json:"topics"`
		Types        []string         `json:"types"`
		Headers      []string         `json:"headers"`
		Envelope     Envelope         `json:"envelope"`
		Schema       []string         `json:"schema"`
		StateVersion uint32           `json:"state_version"`
		Queries      map[string]query `json:"queries"`
		Sends        []string         `json:"sends,omitempty"`
	}{
		Name: m.Name, Version: m.Version, Description: m.Description,
		Topics: list(m.Topics), Types: list(m.Types), Headers: list(m.Headers),
		Envelope: m.Envelope, Schema: list(m.Schema), StateVersion: max(m.StateVersion, 1),
		Queries: map[string]query{}, Sends: m.Sends,
	}
	if len(m.Sends) > 0 {
		wire.Headers = append(wire.Headers, headersOfSenders...)
	}
	if m.AllHeaders {
		wire.Headers = nil
	}
	for _, q := range m.Queries {
		wire.Queries[q.Name] = query{q.SQL, q.Description}
	}
	// Texts, numbers and lists of them always have a JSON form.
	text, _ := json.Marshal(wire)
	return string(text)
}

// list is never nil, which would be null in JSON.
func list(texts []string) []string { return append([]string{}, texts...) }

// Check says what a host would refuse in the manifest.
func (m Manifest) Check() error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("the manifest's %s %s", field, fmt.Sprintf(format, args...))
	}
	if !isName(m.Name) {
		return wrong("Name", "is %q: use lower-case letters, digits, '-' and '_', starting with a letter, at most 64", m.Name)
	}
	if len(m.Topics) == 0 {
		return wrong("Topics", "is empty: name at least one topic to read")
	}
	for nth, topic := range m.Topics {
		if topic == "" || slices.Contains(m.Topics[:nth], topic) {
			return wrong("Topics", "has %q twice or empty: name each topic once", topic)
		}
	}
	switch e := m.Envelope; e.kind {
	case "header", "json-field":
		if slices.Contains(strings.Split(e.value, "."), "") && (e.kind == "json-field" || e.value == "") {
			return wrong("Envelope", "names an empty header or field: say where the type stands")
		}
	}
	for nth, aggregate := range m.Sends {
		if !isName(aggregate) || slices.Contains(m.Sends[:nth], aggregate) {
			return wrong("Sends", "has %q: name each type of aggregate once", aggregate)
		}
	}
	for nth, q := range m.Queries {
		if slices.ContainsFunc(m.Queries[:nth], func(other Query) bool { return other.Name == q.Name }) {
			return wrong("Queries", "has %q twice: name each query once", q.Name)
		}
	}
	return nil
}

func isName(name string) bool {
	for at, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (at == 0 || !('0' <= c && c <= '9' || c == '-' || c == '_')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
