Feature: The region with the primary is cut off for 43 s
  GitHub's analysis of 21 October 2018 (MySQL under Orchestrator). The other regions had the majority and promoted, and
  each side held writes that the other lacked: putting that right took over 24 hours. Patroni demotes the old primary
  and rewinds it. What that acknowledged meanwhile is lost, and its region's clients wait for the end.

  @nightly @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE
  Scenario: The east is cut off and comes back
    Given the topology "stretched"
    And 4 clients writing 25 rows per second each
    When region east is partitioned from the rest
    And 43 s to 44 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And the old primary acknowledges no write after 35 s
    And never do two nodes accept writes
