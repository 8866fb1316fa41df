Feature: The service manager kills what does not stop in time
  GitLab production #4383. Patroni was stopped on the primary, PostgreSQL needed longer than the service manager waits,
  and all of it was killed half-way. So nobody gave the leader key back, and it had to expire.

  # An orderly stop costs 8 s or so, this one a whole lease. A starved machine stands for whatever made the stop slow.
  @nightly @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: The primary is killed in the middle of its shutdown
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When "patroni" on the primary gets only "5 %" of a core
    And the fault "container_stop" hits the primary
      | service | patroni |
      | grace   | 3 s     |
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 15 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
