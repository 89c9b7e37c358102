module example.com/guest

go 1.24

require github.com/sluice-edge/sluice/sdk/go v0.0.0

replace github.com/sluice-edge/sluice/sdk/go => ../../../sdk/go
