// Package projection makes a plugin that is a projection: events in, rows out. A process manager is one that also sends
// commands.
//
// A projection is a value and a function. It is exported by an init function, since a plugin has no main that would run:
//
//	func init() { projection.Export(Balances) }
//
//	func main() {}
//
// A plugin is of one kind, so a program imports only one of projection, aggregate and upcaster.
package projection

import (
	"errors"

	"lantern.dev/sdk-go/lantern"
)

// Projection is a read model as a fold of events.
type Projection struct {
	// Manifest says what it is called, what it reads, and its tables.
	Manifest lantern.Manifest
	// Apply applies one event. It must depend on nothing but the event and the tables: not on variables that outlive a batch, and
	// not on the order in which a map is ranged over. Any error takes the whole batch back. The host then applies
	// what came before this event, and deals with the event by the projection's policy. A panic is an error with its stack.
	Apply func(event *lantern.Event, db *lantern.DB) error
}

// Check says what a host would refuse.
func (p Projection) Check() error {
	if p.Apply == nil {
		return errors.New("the projection has no Apply: it would do nothing")
	}
	return p.Manifest.Check()
}

// Export makes the projection the plugin that this program is. Natively it does nothing, so that a program can be tested.
func Export(p Projection) { export(p) }
