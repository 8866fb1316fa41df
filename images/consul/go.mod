module pgquake/consul

go 1.24

tool github.com/hashicorp/consul

require github.com/hashicorp/consul vCONSUL_VERSION

replace launchpad.net/gocheck => github.com/go-check/check v0.0.0-20140225173054-eb6ee6f84d0a
