Feature: Faults timed by what the first one causes
  The worst moment for a second failure is in the middle of the failover that the first one began.

  # The new leader's PostgreSQL dies between its election and its promotion.
  @documented
  @claim:NO-SPLIT-BRAIN @claim:RPO-5-ASYNC
  Scenario: The node that is elected crashes before it is promoted
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And a node has taken the leader key
    And PostgreSQL on the primary is killed
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # A process that crashes now and then, at moments that the seed draws.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: The WAL receiver of a standby crashes again and again
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "process_kill" hits a standby 3 times, each for 1 s to 4 s
      | process | the WAL receiver |
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes
