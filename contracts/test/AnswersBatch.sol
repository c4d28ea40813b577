// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent} from "../src/Demands.sol";
import {Basket, Line, Trade} from "../src/Records.sol";
import {Batch} from "./Batch.sol";

/// The slot of a `Batch`, with what honest operators answer.
abstract contract AnswersBatch is Batch {
    /// All that an honest operator answers.
    function answerFor(uint32 member) internal view returns (Answer memory) {
        return partFor(member, 0, lines[member].length, true);
    }

    /// The lines of a member from `from` to before `to`, and what they rest on.
    /// @param last whether nothing follows them
    function partFor(uint32 member, uint256 from, uint256 to, bool last) internal view returns (Answer memory a) {
        bytes32[] memory hashes = lineHashes(member);
        a.stated = true;
        (a.statement, a.siblings) = (statements[member], statementSiblings(member));
        (a.position, a.depth, a.last) = (from, depthOf(hashes.length), last);
        a.border = borderOf(hashes, from, last ? (1 << a.depth) - 1 : to - 1);
        a.tradesRoot = tradesRoot;
        if (readings[member].meter != address(0)) {
            a.reading = readings[member];
            a.readingSignature = signed(meterKey(member), hashOf(readings[member]));
        }
        _addLines(a, member, to - from);
    }

    function _addLines(Answer memory a, uint32 member, uint256 count) private view {
        uint256[] memory own = sortedOf(member);
        (a.lines, a.trades, a.committed) = (new Line[](count), new Trade[](count), new bytes32[][](count));
        a.consents = new Consent[](count);
        Consent[] memory consents = a.consents;
        uint256 used = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 trade = own[a.position + i];
            (a.lines[i], a.trades[i]) = (lines[member][a.position + i], trades[trade]);
            if (trade < committed) a.committed[i] = tradeSiblings(trade);
            bool fresh = i == 0 || consentOf(trade, member) != consentOf(own[a.position + i - 1], member);
            if (fresh) consents[used++] = _consentOf(member, trade < committed);
        }
        assembly {
            mstore(consents, used)
        }
    }

    function _consentOf(uint32 member, bool ordered) private view returns (Consent memory consent) {
        consent.mandate = mandates[member];
        consent.mandateSignature = signed(memberKey(member), hashOf(mandates[member]));
        if (!ordered) return consent;
        consent.order = orders[member];
        (consent.first, consent.count) = (SLOT, 1);
        signBasket(consent, agentKey(member));
    }

    /// The basket that holds the order where the consent says, signed.
    function signBasket(Consent memory consent, uint256 key) internal view {
        bytes32 root = rootFrom(hashOf(consent.order), consent.position, consent.siblings);
        consent.orderSignature = signed(key, hashOf(Basket(consent.order.member, consent.first, consent.count, root)));
    }
}
