module library

go 1.24

require lantern.dev/sdk-go v0.0.0

// Written by `lantern build`, at the version of the binary.
replace lantern.dev/sdk-go => ./.lantern/sdk/go
