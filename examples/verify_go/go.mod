module assay.example/verify_go

go 1.25
