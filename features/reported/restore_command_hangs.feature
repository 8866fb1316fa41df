Feature: The archive does not answer while a standby is promoted
  patroni #3603 and CrunchyData/postgres-operator #3108. Before PostgreSQL ends its recovery it asks the archive
  several times, for WAL and for the next timeline's history. Each question that hangs delays the promotion, while
  Patroni holds the leader key and reports a healthy leader. Seen there: two questions of 127 s, which is how long TCP
  tries to reach a dead host.

  @nightly @claim:RTO-30 @claim:PROMOTE-3-5 @claim:NO-SPLIT-BRAIN
  Scenario: Each question to the archive takes 15 s
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator sets "postgresql.parameters.restore_command" to "sleep 15; false"
    And 20 s to 25 s have passed
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And the promote phase takes at most 5 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
