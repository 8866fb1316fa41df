Feature: A virtual address before a pair of balancers
  Document 002 has two HAProxies, active and passive, that share an address by keepalived. When the active one is lost the
  other takes the address, and clients connect to where they always did.

  @documented @vip @claim:VIP @claim:NO-SPLIT-BRAIN
  Scenario: The host of the active balancer dies
    Given the topology "documented-ha"
    And 4 clients writing 25 rows per second each
    When the host of proxy1 dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then another host takes the virtual address over within 10 s
    And clients can't write for at most 15 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @documented @vip @claim:VIP @claim:NO-SPLIT-BRAIN
  Scenario: The active balancer dies alone
    Given the topology "documented-ha"
    And 4 clients writing 25 rows per second each
    When the service "haproxy" on proxy1 dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then another host takes the virtual address over within 10 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @vip @control:virtual_address
  Scenario: The active balancer dies, and nothing looks after it
    Given the topology "documented-ha-untracked"
    And 4 clients writing 25 rows per second each
    When the service "haproxy" on proxy1 dies
    And 12 s to 13 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then another host takes the virtual address over within 10 s
