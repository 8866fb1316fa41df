Feature: The DCS is away for less than retry_timeout
  patroni #1195. An agent tries its DCS again for retry_timeout (10 s) before it gives its primary up. A version of
  2019 gave up after 1 to 4 s, and clients could not write for 11 s.

  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: Every etcd member is killed and is back after some seconds
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on the etcd members dies
    And 2 s to 3 s have passed
    And the fault is healed
    And 20 s to 25 s have passed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A request that nobody answers uses up more of the time than one that is refused.
  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: Nobody hears etcd for 7 s
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits the nodes
      | from  | the etcd members |
      | ports | 2379             |
    And 6 s to 7 s have passed
    And the fault is healed
    And 20 s to 25 s have passed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes
