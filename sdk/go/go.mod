module github.com/sluice-edge/sluice/sdk/go

go 1.24
