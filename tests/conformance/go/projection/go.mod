module conformance-projection

go 1.24

require lantern.dev/sdk-go v0.0.0

replace lantern.dev/sdk-go => ./.lantern/sdk/go
