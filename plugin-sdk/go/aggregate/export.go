package aggregate

// Export makes the aggregate the plugin that this program is. Natively it does nothing, so that a program can be tested.
func Export[State, Command, Event any](a Aggregate[State, Command, Event]) { export(HandlerOf(a)) }
