Feature: A standby that was away is back before the others
  cloudnative-pg #1688 and #2513. The node that missed the latest writes comes back first and is alone for a while. If
  it may lead then, what was acknowledged in its absence is gone.

  # The DCS names the synchronous standbys, and this one is not among them.
  @nightly @sync @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: Under synchronous replication
    Given the topology "single-region-sync"
    And 4 clients writing 25 rows per second each
    When Docker stops "patroni" on node3
    And 20 s to 25 s have passed
    And the service "patroni" on node1 and node2 dies
    And the fault "container_stop" is healed
    And 60 s to 65 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  # Only maximum_lag_on_failover (1 MB) could stop it, and ten seconds of this load are less.
  @nightly @claim:RPO-5-ASYNC @claim:LAG-CAP @claim:NO-SPLIT-BRAIN
  Scenario: Under asynchronous replication
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When Docker stops "patroni" on node3
    And 8 s to 10 s have passed
    And the service "patroni" on node1 and node2 dies
    And the fault "container_stop" is healed
    And 60 s to 65 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then at most 5 s of acknowledged writes are lost
    And no node that is more than 1 MB behind is promoted
    And never do two nodes accept writes
