Feature: Two failures in a row
  The documents promise 30 seconds for each. etcd keeps its quorum here, because only Patroni and PostgreSQL die.

  @documented
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The new primary dies as the old one did
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on the primary dies
    And another node has taken over
    And clients can write again
    And the service "patroni" on the primary dies
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s
