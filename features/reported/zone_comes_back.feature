Feature: A zone that was cut off comes back
  patroni #3314 and #3359, repaired in 4.0.6. When the old primary's zone was connected again, its agents went on with
  what they knew of the DCS, and on 1 to 10 of 200 clusters the healthy new leader was demoted: a second outage, which
  begins with the healing and is shorter than the first.

  @nightly @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The zone of the primary goes and comes back
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest
    And another node has taken over
    And clients can write again
    And 20 s to 30 s have passed
    And the fault is healed
    And 60 s to 70 s have passed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 45 s
    And there is at most one outage
    And never do two nodes accept writes
