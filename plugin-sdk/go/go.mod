module lantern.dev/sdk-go

go 1.24
