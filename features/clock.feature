# Written, and not yet run to a verdict on a quiet machine: what it expects may still be wrong.
@untried
Feature: A wrong clock on the primary
  Leases run in etcd and timeouts by monotonic clocks, so a wrong time of day on one node should harm nothing that clients
  rely on.

  @claim:NO-SPLIT-BRAIN
  Scenario: The primary's clock is a minute ahead
    Given the topology "single-region"
    And the clocks of the nodes can be set
    And 4 clients writing 25 rows per second each
    When the clock of the primary is set 60 s ahead
    And 40 s to 45 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @claim:NO-SPLIT-BRAIN
  Scenario: The primary's clock is a minute behind
    Given the topology "single-region"
    And the clocks of the nodes can be set
    And 4 clients writing 25 rows per second each
    When the clock of the primary is set 60 s behind
    And 40 s to 45 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The standby that takes over has a wrong clock.
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies while every other clock is a minute behind
    Given the topology "single-region"
    And the clocks of the nodes can be set
    And 4 clients writing 25 rows per second each
    When the clock of node2 is set 60 s behind
    And the clock of node3 is set 60 s behind
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
